// SPDX-License-Identifier: MIT
// go.signal: signals of the process, by name.
#include "io/signal.h"

#include "lib/lib.h"

enum { SIGNAL_ROOM = 16 };

static int check_signal(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TSTRING)
    gr_arg_type_error(L, index, index, "signal", "string");
  const char *name = lua_tostring(L, index);
  int number = gr_signal_number(name);
  if (number == 0)
    gr_arg_error(L, index, "signal",
                 lua_pushfstring(L, "no signal '%s'", name));
  if (!gr_signal_can_listen(number))
    gr_arg_error(L, index, "signal",
                 lua_pushfstring(L, "signal '%s' cannot be caught", name));
  return number;
}

// The names, encoded while there is a Lua state. Protected, so that those done
// already are released when there is no memory. blocks, names...
static int encode_names(lua_State *L) {
  gr_block **blocks = lua_touserdata(L, 1);
  for (int i = 2; i <= lua_gettop(L); i++) {
    int number = gr_signal_number(lua_tostring(L, i));
    if (blocks[number])
      continue;
    lua_pushvalue(L, i);
    blocks[number] = gr_block_encode(L, 1, GR_VALUES_SENT);
  }
  return 0;
}

static void release_all(gr_block *blocks[GR_SIGNALS]) {
  for (int i = 0; i < GR_SIGNALS; i++)
    gr_block_release(blocks[i]);
}

int gr_go_signal(lua_State *L) {
  gr_block *blocks[GR_SIGNALS] = {NULL};
  int count = lua_gettop(L);
  for (int i = 1; i <= (count ? count : 1); i++)
    check_signal(L, i);
  lua_pushcfunction(L, encode_names);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, blocks);
  lua_insert(L, 2);
  gr_channel *c = NULL;
  int failed = lua_pcall(L, count + 1, 0, 0);
  if (!failed)
    c = gr_channel_new(SIGNAL_ROOM);
  if (!c) {
    release_all(blocks);
    return failed ? lua_error(L) : luaL_error(L, "not enough memory");
  }
  gr_enter();
  int status = gr_signal_listen(c, blocks);
  gr_leave();
  if (status) {
    gr_channel_release(c);
    gr_io_again(L, status);
    return gr_io_push_failure(L, status, "signal");
  }
  gr_handle_push(L, &gr_channel_type, c, GR_VIEW_BOTH);
  return 1;
}
