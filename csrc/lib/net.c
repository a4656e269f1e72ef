// SPDX-License-Identifier: MIT
// go.net: connecting and listening.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int check_port(lua_State *L, int arg, const char *name) {
  return (int)gr_arg_integer(L, arg, arg, name, 0, 65535);
}

// Options of the table at index `arg`, if there is one: true, and the value is
// on top, when it has the key.
static bool push_option(lua_State *L, int arg, const char *key) {
  if (!lua_istable(L, arg))
    return false;
  if (lua_getfield(L, arg, key) != LUA_TNIL)
    return true;
  lua_pop(L, 1);
  return false;
}

static bool option_flag(lua_State *L, int arg, const char *name,
                        const char *key, bool otherwise) {
  if (!push_option(L, arg, key))
    return otherwise;
  if (!lua_isboolean(L, -1))
    gr_option_error(L, arg, name, key, "boolean expected");
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

// A number that is not NaN, or `otherwise`.
static lua_Number option_number(lua_State *L, int arg, const char *name,
                                const char *key, lua_Number otherwise) {
  if (!push_option(L, arg, key))
    return otherwise;
  lua_Number value = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER)
    gr_option_error(L, arg, name, key, "number expected");
  if (isnan(value))
    gr_option_error(L, arg, name, key, "not a number (NaN)");
  lua_pop(L, 1);
  return value;
}

// --- connecting ---

// What to connect to, and how.
typedef struct dial {
  const char *host; // or an address that is written
  int port;
  gr_address path;
  uint64_t deadline_ns;
  bool nodelay;
  int keepalive_s;
} dial;

static void read_dial(lua_State *L, int arg, const char *name, dial *d) {
  static const char *const keys[] = {"timeout", "nodelay", "keepalive", NULL};
  gr_arg_options(L, arg, arg, name, keys);
  d->nodelay = option_flag(L, arg, name, "nodelay", true);
  lua_Number keepalive = option_number(L, arg, name, "keepalive", 0);
  if (keepalive > 32767)
    gr_option_error(L, arg, name, "keepalive",
                    "at most 32767 seconds expected");
  d->keepalive_s = keepalive > 0 ? (int)ceil(keepalive) : 0;
  d->deadline_ns =
      gr_deadline_after(option_number(L, arg, name, "timeout", HUGE_VAL));
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

static int connect_host(const dial *d, gr_stream **out) {
  gr_addresses addresses;
  int status = gr_resolve(d->host, d->port, d->deadline_ns, &addresses);
  if (status == 0)
    status = connect_any(&addresses, d, out);
  free(addresses.list);
  if (status == 0 && d->nodelay)
    gr_socket_set_nodelay(&(*out)->d, true);
  if (status == 0 && d->keepalive_s)
    gr_socket_set_keepalive(&(*out)->d, d->keepalive_s);
  return status;
}

static int connect_path(const dial *d, gr_stream **out) {
  return gr_connect(&d->path, GR_STREAM_UNIX, d->deadline_ns, out);
}

static int push_connected(lua_State *L, const char *name,
                          int (*connect)(const dial *, gr_stream **),
                          const dial *d) {
  gr_stream *s = NULL;
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = connect(d, &s);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, name);
  gr_stream_push(L, s);
  return 1;
}

static int net_connect(lua_State *L) {
  gr_arg_count(L, 3, "connect");
  dial d = {.host = gr_arg_text(L, 1, 1, "connect"),
            .port = check_port(L, 2, "connect")};
  read_dial(L, 3, "connect", &d);
  if (!*d.host || !strcmp(d.host, "*"))
    d.host = "localhost";
  return push_connected(L, "connect", connect_host, &d);
}

static void check_path(lua_State *L, const char *name, gr_address *a) {
  const char *path = gr_arg_text(L, 1, 1, name);
  if (!*path || !gr_address_local(a, path, strlen(path)))
    gr_arg_error(L, 1, name,
                 lua_pushfstring(L, "a path of 1 to %d bytes expected",
                                 (int)sizeof a->local.sun_path - 1));
}

static int net_connect_unix(lua_State *L) {
  dial d = {0};
  gr_arg_count(L, 2, "connect_unix");
  check_path(L, "connect_unix", &d.path);
  read_dial(L, 2, "connect_unix", &d);
  return push_connected(L, "connect_unix", connect_path, &d);
}

// --- listening ---

// Where to listen, and how.
typedef struct place {
  const char *host; // or an address that is written
  int port;
  gr_address path;
  gr_listen_options options;
} place;

static void read_listen(lua_State *L, int arg, const char *name, place *p) {
  static const char *const keys[] = {"backlog", "reuseport", "ipv6only", NULL};
  gr_arg_options(L, arg, arg, name, keys);
  lua_Number backlog = option_number(L, arg, name, "backlog", SOMAXCONN);
  if (!(backlog >= 1 && backlog <= 65535))
    gr_option_error(L, arg, name, "backlog",
                    "a number from 1 to 65535 expected");
  p->options.backlog = (int)backlog;
  p->options.reuseport = option_flag(L, arg, name, "reuseport", false);
  p->options.ipv6only = option_flag(L, arg, name, "ipv6only", false);
}

static int listen_at(const gr_address *a, gr_stream_kind kind,
                     const gr_listen_options *o, gr_socket **out) {
  int fd = gr_socket_bind(a, SOCK_STREAM, o);
  if (fd < 0)
    return fd;
  *out = gr_socket_wrap(fd, kind);
  return *out ? 0 : GR_NOMEM;
}

static int listen_host(const place *p, gr_socket **out) {
  gr_addresses addresses;
  int status = gr_resolve(p->host, p->port, GR_NEVER, &addresses);
  if (status == 0)
    status = listen_at(&addresses.list[0], GR_STREAM_TCP, &p->options, out);
  free(addresses.list);
  return status;
}

// The path is removed when the listener is closed.
static int listen_path(const place *p, gr_socket **out) {
  const char *path = p->path.local.sun_path;
  char *copy = strdup(path);
  if (!copy)
    return GR_NOMEM;
  int status = listen_at(&p->path, GR_STREAM_UNIX, &p->options, out);
  if (status == 0)
    (*out)->path = copy;
  else
    free(copy);
  if (status == GR_NOMEM)
    unlink(path); // it has been made
  return status;
}

static int push_listening(lua_State *L, const char *name,
                          int (*start)(const place *, gr_socket **),
                          const place *p) {
  gr_socket *s = NULL;
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = start(p, &s);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, name);
  gr_handle_push(L, &gr_listener_type, s, 0);
  return 1;
}

static int net_listen(lua_State *L) {
  gr_arg_count(L, 3, "listen");
  place p = {.host = gr_arg_text(L, 1, 1, "listen"),
             .port = check_port(L, 2, "listen")};
  read_listen(L, 3, "listen", &p);
  return push_listening(L, "listen", listen_host, &p);
}

static int net_listen_unix(lua_State *L) {
  place p = {0};
  gr_arg_count(L, 2, "listen_unix");
  check_path(L, "listen_unix", &p.path);
  read_listen(L, 2, "listen_unix", &p);
  return push_listening(L, "listen_unix", listen_path, &p);
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

static gr_socket *check_self(lua_State *L, const char *name) {
  return gr_arg_self(L, &gr_listener_type, name);
}

static int listener_address(lua_State *L) {
  return gr_socket_push_address(L, check_self(L, "address"));
}

static int listener_port(lua_State *L) {
  return gr_socket_push_port(L, check_self(L, "port"));
}

static int listener_close(lua_State *L) {
  return gr_socket_push_close(L, check_self(L, "close"));
}

static int listener_tostring(lua_State *L) {
  return gr_socket_push_text(L, check_self(L, "tostring"), "listener");
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
