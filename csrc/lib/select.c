// SPDX-License-Identifier: MIT
// go.select. What its cases send is encoded first, below pcall if that may
// raise, so that nothing is left behind.
#include "lib/lib.h"
#include "sync/select.h"

enum { FEW = 8 };

static const char default_key;

// One call; cases and order lie on the C stack when they are few.
typedef struct call {
  gr_case *cases;
  uint32_t *order;
  int count; // of cases, without go.default
  bool has_default;
  int sends;
} call;

static int bad_case(lua_State *L, int i) {
  if (gr_handle_test(L, i, &gr_channel_type))
    gr_arg_error(L, i, "select", "this channel only sends: ch:sending(v)");
  return gr_arg_type_error(L, i, i, "select",
                           "channel, ch:sending(v), false or go.default");
}

// The channel of the send case at the index, or NULL if it is something else.
static gr_channel *send_channel(lua_State *L, int i) {
  if (!luaL_testudata(L, i, "goroutines.case"))
    return NULL;
  lua_getiuservalue(L, i, 1);
  gr_handle *handle = gr_handle_test(L, -1, &gr_channel_type);
  lua_pop(L, 1);
  return handle ? handle->object : NULL;
}

static void read_case(lua_State *L, call *c, int i) {
  gr_case *one = &c->cases[i - 1];
  one->message.kind = GR_MESSAGE_NIL;
  one->is_send = false;
  one->channel = NULL;
  if (lua_isboolean(L, i) && !lua_toboolean(L, i))
    return;
  one->channel = gr_receive_channel(L, i);
  if (one->channel)
    return;
  one->channel = send_channel(L, i);
  if (!one->channel)
    bad_case(L, i);
  one->is_send = true;
  c->sends++;
}

// [count arguments, the call] -> nothing; raises if one cannot be sent.
static int encode_sends(lua_State *L) {
  call *c = lua_touserdata(L, -1);
  for (int i = 1; i <= c->count; i++) {
    if (!c->cases[i - 1].is_send)
      continue;
    lua_getiuservalue(L, i, 2);
    gr_message_encode(L, -1, &c->cases[i - 1].message);
    lua_pop(L, 1);
  }
  return 0;
}

static void drop_sends(call *c, int but) {
  for (int i = 0; i < c->count; i++)
    if (c->cases[i].is_send && i != but)
      gr_message_drop(&c->cases[i].message);
}

static void encode(lua_State *L, call *c) {
  if (c->sends == 0)
    return;
  luaL_checkstack(L, c->count + 4, NULL);
  lua_pushcfunction(L, encode_sends);
  for (int i = 1; i <= c->count; i++)
    lua_pushvalue(L, i);
  lua_pushlightuserdata(L, c);
  if (lua_pcall(L, c->count + 1, 0, 0) != LUA_OK) {
    drop_sends(c, -1);
    lua_error(L);
  }
}

// Pushes the position and what the case that was done gives.
static int push_done(lua_State *L, call *c, uint32_t chosen, gr_status status) {
  gr_case *one = &c->cases[chosen];
  lua_pushinteger(L, (lua_Integer)chosen + 1);
  if (one->is_send) {
    if (status == GR_CLOSED)
      return luaL_error(L, "send on closed channel");
    return 1;
  }
  if (status == GR_CLOSED)
    return 1 + gr_push_failure(L, status);
  gr_message_push(L, &one->message);
  return 2;
}

static int run(lua_State *L, call *c) {
  gr_wait_point(L);
  for (;;) {
    uint32_t chosen = 0;
    encode(L, c);
    gr_enter();
    gr_status status = gr_select(c->cases, (uint32_t)c->count, c->order,
                                 c->has_default ? GR_POLL : GR_NEVER, &chosen);
    gr_leave();
    bool sent = status == GR_OK && c->cases[chosen].is_send;
    drop_sends(c, sent ? (int)chosen : -1);
    if (status == GR_OK || status == GR_CLOSED)
      return push_done(L, c, chosen, status);
    if (status == GR_TIMEOUT) {
      lua_pushinteger(L, (lua_Integer)c->count + 1);
      return 1;
    }
    gr_wait_again(L, status);
  }
}

static int go_select(lua_State *L) {
  gr_arg_runtime(L, "select");
  int top = lua_gettop(L);
  call c = {.count = top};
  if (top > 0 && lua_touserdata(L, top) == (void *)&default_key) {
    c.has_default = true;
    c.count--;
  }
  gr_case cases[FEW];
  uint32_t order[2 * FEW];
  c.cases = cases;
  c.order = order;
  if (c.count > FEW) {
    size_t count = (size_t)c.count;
    c.cases = lua_newuserdatauv(L, count * sizeof *c.cases, 0);
    c.order = lua_newuserdatauv(L, count * 2 * sizeof *c.order, 0);
  }
  for (int i = 1; i <= c.count; i++)
    read_case(L, &c, i);
  return run(L, &c);
}

void gr_lib_select(lua_State *L) {
  lua_pushcfunction(L, go_select);
  lua_setfield(L, -2, "select");
  lua_pushlightuserdata(L, (void *)&default_key);
  lua_setfield(L, -2, "default");
}
