// SPDX-License-Identifier: MIT
// go.net.udp: datagrams.
#include <stdlib.h>
#include <string.h>

#include "io/dns.h"
#include "io/socket.h"
#include "lib/lib.h"

enum { DATAGRAM_MAX = 65536 };

static void socket_retain(void *object) {
  gr_socket_retain(object);
}

static void socket_release(void *object) {
  gr_socket_release(object);
}

static void open_udp(lua_State *L);

const gr_handle_type gr_udp_type = {"goroutines.udp", socket_retain,
                                    socket_release, open_udp};

static int bind_at(const gr_address *a, gr_socket **out) {
  static const gr_listen_options options;
  int fd = gr_socket_bind(a, SOCK_DGRAM, &options);
  if (fd < 0)
    return fd;
  *out = gr_socket_wrap(fd, GR_STREAM_PIPE);
  return *out ? 0 : GR_NOMEM;
}

static int udp_new(lua_State *L) {
  gr_arg_count(L, 2, "udp");
  const char *host = lua_isnoneornil(L, 1) ? "*" : gr_arg_text(L, 1, 1, "udp");
  int port = 0;
  if (!lua_isnoneornil(L, 2))
    port = (int)gr_arg_integer(L, 2, 2, "udp", 0, 65535);
  gr_addresses addresses;
  gr_socket *s = NULL;
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_resolve(host, port, GR_NEVER, &addresses);
    if (status == 0)
      status = bind_at(&addresses.list[0], &s);
    free(addresses.list);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "udp");
  gr_handle_push(L, &gr_udp_type, s, 0);
  return 1;
}

static gr_socket *check_self(lua_State *L, const char *name) {
  return gr_arg_self(L, &gr_udp_type, name);
}

// A socket of IPv6 knows addresses of IPv4 by another name.
static int send_to(gr_socket *s, const char *bytes, size_t len,
                   const char *host, int port) {
  gr_address own;
  gr_addresses addresses;
  int status = gr_resolve(host, port, GR_NEVER, &addresses);
  if (status == 0)
    status = gr_socket_address(&s->d, false, &own);
  if (status == 0) {
    gr_address *to = &addresses.list[0];
    if (own.any.sa_family == AF_INET6 && to->any.sa_family == AF_INET)
      gr_address_map(to);
    status = gr_send(s, bytes, len, to);
  }
  free(addresses.list);
  return status;
}

static int udp_send(lua_State *L) {
  gr_socket *s = check_self(L, "send");
  size_t len;
  gr_arg_count(L, 4, "send");
  if (lua_type(L, 2) != LUA_TSTRING)
    gr_arg_type_error(L, 2, 1, "send", "string");
  const char *bytes = lua_tolstring(L, 2, &len);
  const char *host = gr_arg_text(L, 3, 2, "send");
  int port = (int)gr_arg_integer(L, 4, 3, "send", 0, 65535);
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = send_to(s, bytes, len, host, port);
    gr_leave();
  } while (gr_io_again(L, status));
  return gr_io_push_result(L, status, "send");
}

typedef struct datagram {
  char *bytes;
  size_t len;
  gr_address from;
} datagram;

// Protected, for the datagram's memory is to be freed.
static int push_datagram(lua_State *L) {
  datagram *d = lua_touserdata(L, 1);
  lua_pushlstring(L, d->bytes, d->len);
  return 1 + gr_push_address(L, &d->from);
}

static int receive(gr_socket *s, uint64_t deadline_ns, datagram *d) {
  d->bytes = malloc(DATAGRAM_MAX);
  if (!d->bytes)
    return GR_NOMEM;
  int status =
      gr_receive(s, d->bytes, DATAGRAM_MAX, deadline_ns, &d->len, &d->from);
  if (status)
    free(d->bytes);
  return status;
}

static int udp_receive(lua_State *L) {
  gr_socket *s = check_self(L, "receive");
  datagram d;
  gr_arg_count(L, 2, "receive");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "receive");
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = receive(s, deadline_ns, &d);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "receive");
  lua_settop(L, 0);
  lua_pushcfunction(L, push_datagram);
  lua_pushlightuserdata(L, &d);
  int failed = lua_pcall(L, 1, LUA_MULTRET, 0);
  free(d.bytes);
  if (failed)
    lua_error(L);
  return lua_gettop(L);
}

static int udp_address(lua_State *L) {
  return gr_socket_push_address(L, check_self(L, "address"));
}

static int udp_port(lua_State *L) {
  return gr_socket_push_port(L, check_self(L, "port"));
}

static int udp_close(lua_State *L) {
  return gr_socket_push_close(L, check_self(L, "close"));
}

static int udp_tostring(lua_State *L) {
  return gr_socket_push_text(L, check_self(L, "tostring"), "udp");
}

static const luaL_Reg udp_methods[] = {
    {"send", udp_send}, {"receive", udp_receive}, {"address", udp_address},
    {"port", udp_port}, {"close", udp_close},     {NULL, NULL},
};

static const luaL_Reg udp_meta[] = {
    {"__close", udp_close}, {"__tostring", udp_tostring}, {NULL, NULL}};

static void open_udp(lua_State *L) {
  gr_handle_register(L, &gr_udp_type);
  luaL_setfuncs(L, udp_meta, 0);
  luaL_newlib(L, udp_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void gr_lib_udp(lua_State *L) {
  lua_pushcfunction(L, udp_new);
  lua_setfield(L, -2, "udp");
}
