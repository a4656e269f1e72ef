// SPDX-License-Identifier: MIT
// go.net: connecting and listening.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/dns.h"
#include "io/socket.h"
#include "lib/lib.h"

static void socket_retain(void *object) {
  gr_socket_retain(object);
}

static void socket_release(void *object) {
  gr_socket_release(object);
}

static void open_listener(lua_State *L);

const gr_handle_type gr_listener_type = {"goroutines.listener", socket_retain,
                                         socket_release, open_listener};

// --- arguments ---

static int check_port(lua_State *L, int index, int arg, const char *name) {
  return (int)gr_arg_integer(L, index, arg, name, 0, 65535);
}

static bool option_flag(lua_State *L, int index, int arg, const char *name,
                        const char *key, bool otherwise) {
  bool value = otherwise;
  if (!lua_istable(L, index))
    return value;
  if (lua_getfield(L, index, key) != LUA_TNIL) {
    if (!lua_isboolean(L, -1))
      gr_option_error(L, arg, name, key, "boolean expected");
    value = lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

// A number that is not NaN, or `otherwise`.
static lua_Number option_number(lua_State *L, int index, int arg,
                                const char *name, const char *key,
                                lua_Number otherwise) {
  lua_Number value = otherwise;
  if (!lua_istable(L, index))
    return value;
  if (lua_getfield(L, index, key) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER || isnan(lua_tonumber(L, -1)))
      gr_option_error(L, arg, name, key, "number expected");
    value = lua_tonumber(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

// --- connecting ---

typedef struct dial {
  uint64_t deadline_ns;
  bool nodelay;
  int keepalive_s;
} dial;

static dial read_dial(lua_State *L, int index, int arg, const char *name) {
  static const char *const keys[] = {"timeout", "nodelay", "keepalive", NULL};
  dial d = {.deadline_ns = GR_NEVER};
  gr_arg_options(L, index, arg, name, keys);
  d.nodelay = option_flag(L, index, arg, name, "nodelay", true);
  lua_Number keepalive = option_number(L, index, arg, name, "keepalive", 0);
  if (keepalive > 32767)
    gr_option_error(L, arg, name, "keepalive",
                    "at most 32767 seconds expected");
  d.keepalive_s = keepalive > 0 ? (int)ceil(keepalive) : 0;
  lua_Number timeout = option_number(L, index, arg, name, "timeout", HUGE_VAL);
  d.deadline_ns = gr_deadline_after(timeout);
  return d;
}

// Of what time is left each address that is left gets its part, but no less
// than two seconds, as in Go.
static uint64_t part_of(uint64_t deadline_ns, size_t left) {
  const uint64_t least_ns = 2000000000u;
  if (deadline_ns == GR_NEVER || left <= 1)
    return deadline_ns;
  uint64_t now_ns = gr_now_ns();
  if (deadline_ns <= now_ns)
    return deadline_ns;
  uint64_t part_ns = (deadline_ns - now_ns) / left;
  if (part_ns < least_ns)
    part_ns = least_ns;
  return now_ns + part_ns < deadline_ns ? now_ns + part_ns : deadline_ns;
}

// Tries the addresses in turn; the first error is told.
static int connect_any(const gr_addresses *addresses, const dial *d,
                       gr_stream **out) {
  int first = 0;
  for (size_t i = 0; i < addresses->count; i++) {
    int status = gr_connect(&addresses->list[i], GR_STREAM_TCP,
                            part_of(d->deadline_ns, addresses->count - i), out);
    if (status == 0 || (status > 0 && status != GR_TIMEOUT))
      return status;
    if (i == 0)
      first = status;
  }
  return first;
}

static int connect_host(const char *host, int port, const dial *d,
                        gr_stream **out) {
  gr_addresses addresses;
  int status = gr_resolve(host, port, d->deadline_ns, &addresses);
  if (status == 0)
    status = connect_any(&addresses, d, out);
  free(addresses.list);
  if (status == 0 && d->nodelay)
    gr_socket_set_nodelay(&(*out)->d, true);
  if (status == 0 && d->keepalive_s)
    gr_socket_set_keepalive(&(*out)->d, d->keepalive_s);
  return status;
}

static int net_connect(lua_State *L) {
  gr_arg_count(L, 3, "connect");
  const char *host = gr_arg_text(L, 1, 1, "connect");
  int port = check_port(L, 2, 2, "connect");
  dial d = read_dial(L, 3, 3, "connect");
  gr_stream *s = NULL;
  int status;
  if (!*host || !strcmp(host, "*"))
    host = "localhost";
  gr_wait_point(L);
  do {
    gr_enter();
    status = connect_host(host, port, &d, &s);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "connect");
  gr_stream_push(L, s);
  return 1;
}

static void check_path(lua_State *L, const char *name, gr_address *a) {
  const char *path = gr_arg_text(L, 1, 1, name);
  if (!*path || !gr_address_local(a, path, strlen(path)))
    gr_arg_error(L, 1, name,
                 lua_pushfstring(L, "a path of 1 to %d bytes expected",
                                 (int)sizeof a->local.sun_path - 1));
}

static int net_connect_unix(lua_State *L) {
  gr_address a;
  gr_arg_count(L, 2, "connect_unix");
  check_path(L, "connect_unix", &a);
  dial d = read_dial(L, 2, 2, "connect_unix");
  gr_stream *s = NULL;
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_connect(&a, GR_STREAM_UNIX, d.deadline_ns, &s);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "connect_unix");
  gr_stream_push(L, s);
  return 1;
}

// --- listening ---

static gr_listen_options read_listen(lua_State *L, int index, int arg,
                                     const char *name) {
  static const char *const keys[] = {"backlog", "reuseport", "ipv6only", NULL};
  gr_listen_options o = {.backlog = SOMAXCONN};
  gr_arg_options(L, index, arg, name, keys);
  lua_Number backlog = option_number(L, index, arg, name, "backlog", SOMAXCONN);
  if (!(backlog >= 1 && backlog <= 65535))
    gr_option_error(L, arg, name, "backlog",
                    "a number from 1 to 65535 expected");
  o.backlog = (int)backlog;
  o.reuseport = option_flag(L, index, arg, name, "reuseport", false);
  o.ipv6only = option_flag(L, index, arg, name, "ipv6only", false);
  return o;
}

static int listen_at(const gr_address *a, gr_stream_kind kind,
                     const gr_listen_options *o, gr_socket **out) {
  int fd = gr_socket_bind(a, SOCK_STREAM, o);
  if (fd < 0)
    return fd;
  *out = gr_socket_wrap(fd, kind);
  return *out ? 0 : GR_NOMEM;
}

static int listen_on(const char *host, int port, const gr_listen_options *o,
                     gr_socket **out) {
  gr_addresses addresses;
  int status = gr_resolve(host, port, GR_NEVER, &addresses);
  if (status == 0)
    status = listen_at(&addresses.list[0], GR_STREAM_TCP, o, out);
  free(addresses.list);
  return status;
}

static int net_listen(lua_State *L) {
  gr_arg_count(L, 3, "listen");
  const char *host = gr_arg_text(L, 1, 1, "listen");
  int port = check_port(L, 2, 2, "listen");
  gr_listen_options o = read_listen(L, 3, 3, "listen");
  gr_socket *s = NULL;
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = listen_on(host, port, &o, &s);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "listen");
  gr_handle_push(L, &gr_listener_type, s, 0);
  return 1;
}

// The path is removed when the listener is closed.
static int net_listen_unix(lua_State *L) {
  gr_address a;
  gr_arg_count(L, 2, "listen_unix");
  check_path(L, "listen_unix", &a);
  gr_listen_options o = read_listen(L, 2, 2, "listen_unix");
  gr_socket *s = NULL;
  char *path = strdup(a.local.sun_path);
  gr_enter();
  int status = path ? listen_at(&a, GR_STREAM_UNIX, &o, &s) : GR_NOMEM;
  gr_leave();
  if (status) {
    free(path);
    gr_io_again(L, status);
    return gr_io_push_failure(L, status, "listen_unix");
  }
  s->path = path;
  gr_handle_push(L, &gr_listener_type, s, 0);
  return 1;
}

// --- listeners ---

static int accept_into(lua_State *L, gr_socket *listener,
                       uint64_t deadline_ns) {
  gr_stream *s = NULL;
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_accept(listener, deadline_ns, &s);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return status;
  if (s->kind == GR_STREAM_TCP)
    gr_socket_set_nodelay(&s->d, true);
  gr_stream_push(L, s);
  return 0;
}

static int listener_accept(lua_State *L) {
  gr_socket *s = gr_arg_self(L, &gr_listener_type, "accept");
  gr_arg_count(L, 2, "accept");
  int status = accept_into(L, s, gr_arg_deadline(L, 2, 1, "accept"));
  return status ? gr_io_push_failure(L, status, "accept") : 1;
}

// for conn in listener do
static int listener_call(lua_State *L) {
  gr_socket *s = gr_arg_self(L, &gr_listener_type, "accept");
  int status = accept_into(L, s, GR_NEVER);
  return status ? gr_io_end_loop(L, status, "accept") : 1;
}

static int listener_address(lua_State *L) {
  gr_address a;
  gr_socket *s = gr_arg_self(L, &gr_listener_type, "address");
  gr_arg_count(L, 1, "address");
  int status = gr_socket_address(&s->d, false, &a);
  return status ? gr_io_push_failure(L, status, "address")
                : gr_push_address(L, &a);
}

static int listener_port(lua_State *L) {
  gr_address a;
  char text[GR_ADDRESS_TEXT];
  gr_socket *s = gr_arg_self(L, &gr_listener_type, "port");
  gr_arg_count(L, 1, "port");
  int status = gr_socket_address(&s->d, false, &a);
  if (status)
    return gr_io_push_failure(L, status, "port");
  int port = gr_address_text(&a, text);
  if (port < 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, port);
  return 1;
}

static int listener_close(lua_State *L) {
  gr_socket *s = gr_arg_self(L, &gr_listener_type, "close");
  gr_enter();
  bool done = gr_socket_close(s);
  gr_leave();
  return gr_io_push_result(L, done ? 0 : GR_CLOSED, "close");
}

static int listener_tostring(lua_State *L) {
  gr_socket *s = gr_arg_self(L, &gr_listener_type, "tostring");
  lua_pushfstring(L, "listener: %p%s", (void *)s,
                  gr_descriptor_is_closed(&s->d) ? " (closed)" : "");
  return 1;
}

// --- names ---

static void push_addresses(lua_State *L, gr_addresses *addresses) {
  char text[GR_ADDRESS_TEXT];
  lua_createtable(L, (int)addresses->count, 0);
  for (size_t i = 0; i < addresses->count; i++) {
    gr_address_text(&addresses->list[i], text);
    lua_pushstring(L, text);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int push_protected(lua_State *L) {
  push_addresses(L, lua_touserdata(L, 1));
  return 1;
}

static int net_resolve(lua_State *L) {
  gr_addresses addresses;
  gr_arg_count(L, 1, "resolve");
  const char *name = gr_arg_text(L, 1, 1, "resolve");
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_resolve(name, 0, GR_NEVER, &addresses);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "resolve");
  lua_pushcfunction(L, push_protected);
  lua_pushlightuserdata(L, &addresses);
  int failed = lua_pcall(L, 1, 1, 0);
  free(addresses.list);
  if (failed)
    lua_error(L);
  return 1;
}

static const luaL_Reg listener_methods[] = {
    {"accept", listener_accept},
    {"address", listener_address},
    {"port", listener_port},
    {"close", listener_close},
    {NULL, NULL},
};

static const luaL_Reg listener_meta[] = {
    {"__call", listener_call},
    {"__close", listener_close},
    {"__tostring", listener_tostring},
    {NULL, NULL},
};

static void open_listener(lua_State *L) {
  gr_handle_register(L, &gr_listener_type);
  luaL_setfuncs(L, listener_meta, 0);
  luaL_newlib(L, listener_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static const luaL_Reg functions[] = {
    {"connect", net_connect}, {"connect_unix", net_connect_unix},
    {"listen", net_listen},   {"listen_unix", net_listen_unix},
    {"resolve", net_resolve}, {NULL, NULL},
};

void gr_lib_net(lua_State *L) {
  luaL_newlib(L, functions);
  gr_lib_udp(L);
}
