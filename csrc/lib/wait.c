// SPDX-License-Identifier: MIT
// How waits end, in Lua's terms.
#include <stdio.h>
#include <string.h>

#include "lib/lib.h"

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

bool gr_wait_again(lua_State *L, gr_status status) {
  switch (status) {
  case GR_INTERRUPTED:
    lua_pushcfunction(L, nothing); // any call runs the host's hook
    lua_call(L, 0, 0);
    return true;
  case GR_CANCELLED:
    gr_cancel_at_wait(L); // returns if it is held back
    return true;
  case GR_DEADLOCK:
    gr_dump_all();
    luaL_error(L, "all goroutines are asleep - deadlock!");
    return false;
  case GR_STOPPED:
    gr_run_end_with_family(L, gr_self());
    luaL_error(L, "the Lua state is closing: nothing can be waited for");
    return false;
  case GR_NOMEM:
    luaL_error(L, "not enough memory");
    return false;
  default:
    return false;
  }
}

int gr_push_failure(lua_State *L, gr_status status) {
  lua_pushnil(L);
  const char *why = status == GR_CLOSED ? "closed" : "timeout";
  lua_pushlstring(L, why, strlen(why)); // lua_pushstring compares it with some
                                        // that it has had, in no cache
  return 2;
}

void gr_write_error(const char *text) {
  fflush(stdout);
  fputs(text, stderr);
  fflush(stderr);
}
