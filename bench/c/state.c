// SPDX-License-Identifier: MIT
// What a Lua state costs that is made in the plain way, with the standard
// libraries, and closed: to compare with the start and end of a goroutine.
//
//   cc -O2 -I/usr/include/lua5.4 bench/c/state.c -llua5.4 -o build/bench/state
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <time.h>

static double now_s(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(void) {
  enum { STATES = 50000 };
  double start_s = now_s();
  for (int i = 0; i < STATES; i++) {
    lua_State *L = luaL_newstate();
    if (!L)
      return 1;
    luaL_openlibs(L);
    lua_close(L);
  }
  printf("state %.3f ns\n", (now_s() - start_s) / STATES * 1e9);
}
