// SPDX-License-Identifier: MIT
// What listeners and datagram sockets have in common. Each is called with the
// arguments of the method of its name, and gives its results.
#include "io/socket.h"

#include "lib/lib.h"

int gr_socket_push_address(lua_State *L, gr_socket *s) {
  gr_address a;
  gr_arg_count(L, 1, "address");
  int status = gr_socket_address(&s->d, false, &a);
  return status ? gr_io_push_failure(L, status, "address")
                : gr_push_address(L, &a);
}

int gr_socket_push_port(lua_State *L, gr_socket *s) {
  gr_address a;
  char text[GR_ADDRESS_TEXT];
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

int gr_socket_push_close(lua_State *L, gr_socket *s) {
  gr_enter();
  bool done = gr_socket_close(s);
  gr_leave();
  return gr_io_push_result(L, done ? 0 : GR_CLOSED, "close");
}

int gr_socket_push_text(lua_State *L, gr_socket *s, const char *kind) {
  lua_pushfstring(L, "%s: %p%s", kind, (void *)s,
                  gr_descriptor_is_closed(&s->d) ? " (closed)" : "");
  return 1;
}
