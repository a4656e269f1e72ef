// SPDX-License-Identifier: MIT
// Channels, and their views for one direction.
#include "lib/lib.h"

static void channel_retain(void *object) {
  gr_channel_retain(object);
}

static void channel_release(void *object) {
  gr_channel_release(object);
}

static void open_type(lua_State *L);

const gr_handle_type gr_channel_type = {"goroutines.chan", channel_retain,
                                        channel_release, open_type};

// Self, which must allow the direction.
static gr_handle *check_handle(lua_State *L, const char *name,
                               uint32_t forbidden) {
  gr_handle *handle = gr_arg_handle(L, &gr_channel_type, name);
  if (handle->view == forbidden)
    luaL_error(L, "calling '%s' on a channel that only %s", name,
               forbidden == GR_VIEW_SENDER ? "sends" : "receives");
  return handle;
}

static gr_channel *check_channel(lua_State *L, const char *name,
                                 uint32_t forbidden) {
  return check_handle(L, name, forbidden)->object;
}

static int chan_new(lua_State *L) {
  lua_Integer capacity = 0;
  gr_arg_count(L, 1, "chan");
  if (!lua_isnoneornil(L, 1))
    capacity = gr_arg_integer(L, 1, 1, "chan", 0, GR_CHANNEL_CAPACITY_MAX);
  gr_handle *handle = gr_handle_new(L, &gr_channel_type);
  gr_channel *c = gr_channel_new((uint32_t)capacity);
  if (!c)
    return luaL_error(L, "not enough memory");
  gr_handle_set(L, handle, c, GR_VIEW_BOTH);
  return 1;
}

// What is seldom there, or is missing.
static uint64_t check_more(lua_State *L) {
  gr_arg_count(L, 3, "send");
  if (lua_isnoneornil(L, 2))
    gr_arg_error(L, 1, "send", "nil cannot be sent");
  return gr_arg_deadline(L, 3, 2, "send");
}

static int chan_send(lua_State *L) {
  gr_channel *c = check_channel(L, "send", GR_VIEW_RECEIVER);
  uint64_t deadline_ns = GR_NEVER;
  if (lua_gettop(L) != 2)
    deadline_ns = check_more(L);
  gr_message m;
  gr_status status;
  gr_wait_point(L);
  gr_message_encode(L, 2, &m);
  if (m.kind == GR_MESSAGE_NIL)
    gr_arg_error(L, 1, "send", "nil cannot be sent");
  for (;;) {
    gr_enter();
    status = gr_channel_send(c, &m, deadline_ns);
    gr_leave();
    if (status == GR_OK) {
      lua_pushboolean(L, 1);
      return 1;
    }
    if (status != GR_INTERRUPTED && status != GR_CANCELLED)
      break;
    gr_message_drop(&m); // it may raise
    gr_wait_again(L, status);
    gr_message_encode(L, 2, &m);
  }
  gr_message_drop(&m);
  gr_wait_again(L, status);
  if (status == GR_CLOSED)
    return luaL_error(L, "send on closed channel");
  return gr_push_failure(L, status);
}

// Also for tickers.
static int receive(lua_State *L, gr_channel *c, uint64_t deadline_ns) {
  gr_message m;
  gr_status status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_channel_recv(c, &m, deadline_ns);
    gr_leave();
    if (status == GR_OK) {
      gr_message_push(L, &m);
      return 1;
    }
  } while (gr_wait_again(L, status));
  return gr_push_failure(L, status);
}

static int chan_recv(lua_State *L) {
  gr_channel *c = check_channel(L, "recv", GR_VIEW_SENDER);
  if (GR_LIKELY(lua_gettop(L) == 1))
    return receive(L, c, GR_NEVER);
  gr_arg_count(L, 2, "recv");
  return receive(L, c, gr_arg_deadline(L, 2, 1, "recv"));
}

// for v in ch do
static int chan_call(lua_State *L) {
  return receive(L, check_channel(L, "recv", GR_VIEW_SENDER), GR_NEVER);
}

int gr_ticker_recv(lua_State *L) {
  gr_ticker *ticker = gr_arg_self(L, &gr_ticker_type, "recv");
  gr_arg_count(L, 2, "recv");
  return receive(L, ticker->channel, gr_arg_deadline(L, 2, 1, "recv"));
}

int gr_ticker_call(lua_State *L) {
  gr_ticker *ticker = gr_arg_self(L, &gr_ticker_type, "recv");
  return receive(L, ticker->channel, GR_NEVER);
}

static int chan_close(lua_State *L) {
  gr_channel *c = check_channel(L, "close", GR_VIEW_RECEIVER);
  gr_enter();
  bool done = gr_channel_close(c);
  gr_leave();
  if (!done)
    return luaL_error(L, "close of closed channel");
  return 0;
}

static int chan_len(lua_State *L) {
  gr_channel *c = gr_arg_self(L, &gr_channel_type, "len");
  lua_pushinteger(L, gr_channel_count(c));
  return 1;
}

static int chan_capacity(lua_State *L) {
  gr_channel *c = gr_arg_self(L, &gr_channel_type, "capacity");
  lua_pushinteger(L, c->capacity);
  return 1;
}

static int chan_is_closed(lua_State *L) {
  gr_channel *c = gr_arg_self(L, &gr_channel_type, "is_closed");
  lua_pushboolean(L, gr_channel_is_closed(c));
  return 1;
}

static int push_view(lua_State *L, const char *name, uint32_t view,
                     uint32_t forbidden) {
  gr_handle *handle = check_handle(L, name, forbidden);
  if (handle->view == view) { // which may not be listed
    lua_settop(L, 1);
    return 1;
  }
  gr_channel_retain(handle->object);
  gr_handle_push(L, &gr_channel_type, handle->object, view);
  return 1;
}

static int chan_sender(lua_State *L) {
  return push_view(L, "sender", GR_VIEW_SENDER, GR_VIEW_RECEIVER);
}

static int chan_receiver(lua_State *L) {
  return push_view(L, "receiver", GR_VIEW_RECEIVER, GR_VIEW_SENDER);
}

static int chan_tostring(lua_State *L) {
  static const char *const views[] = {"", " (sender)", " (receiver)"};
  gr_handle *handle = gr_arg_handle(L, &gr_channel_type, "tostring");
  lua_pushfstring(L, "chan: %p%s", handle->object, views[handle->view]);
  return 1;
}

// A send case: userdata without content, its channel and value beside it.
static int chan_sending(lua_State *L) {
  check_channel(L, "sending", GR_VIEW_RECEIVER);
  gr_arg_count(L, 2, "sending");
  if (lua_isnoneornil(L, 2))
    gr_arg_error(L, 1, "sending", "nil cannot be sent");
  lua_newuserdatauv(L, 0, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 2);
  luaL_setmetatable(L, "goroutines.case");
  return 1;
}

static const luaL_Reg chan_methods[] = {
    {"send", chan_send},
    {"recv", chan_recv},
    {"close", chan_close},
    {"capacity", chan_capacity},
    {"is_closed", chan_is_closed},
    {"sender", chan_sender},
    {"receiver", chan_receiver},
    {"sending", chan_sending},
    {NULL, NULL},
};

static const luaL_Reg chan_meta[] = {
    {"__call", chan_call},
    {"__len", chan_len},
    {"__tostring", chan_tostring},
    {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_handle_register(L, &gr_channel_type);
  luaL_setfuncs(L, chan_meta, 0);
  luaL_newlib(L, chan_methods);
  lua_setfield(L, -2, "__index");
  luaL_newmetatable(L, "goroutines.case");
  lua_pop(L, 2);
}

void gr_lib_channel(lua_State *L) {
  lua_pushcfunction(L, chan_new);
  lua_setfield(L, -2, "chan");
}
