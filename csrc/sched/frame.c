// SPDX-License-Identifier: MIT
// Lua's API reaches the frame of a level in as many steps as there are levels
// above, which is too slow for deep ones. So the step from one frame to the
// next below is learned from what the API says of a stack made for that; where
// it cannot be learned, the API is asked.
#include "sched/frame.h"

#include <lauxlib.h>

// Where a frame has the address of the next below, in words; 0: not known. All
// of Lua 5.4 have it at 2.
static size_t below_at;

static struct CallInfo *read_below(struct CallInfo *frame, size_t at) {
  return ((struct CallInfo **)(void *)frame)[at];
}

bool gr_frame_go_below(lua_State *L, lua_Debug *ar, int level) {
  if (!below_at)
    return lua_getstack(L, level, ar);
  ar->i_ci = read_below(ar->i_ci, below_at);
  // The lowest is a frame of Lua's own, without one below.
  return read_below(ar->i_ci, below_at) != NULL;
}

// --- learning the step ---

enum { DEPTH = 4, WORDS = 6 }; // there are as many words in every frame

static bool leads_below(lua_State *L, size_t at) {
  lua_Debug frame, below;
  int level = 0;
  for (; lua_getstack(L, level + 1, &below); level++)
    if (!lua_getstack(L, level, &frame) ||
        read_below(frame.i_ci, at) != below.i_ci)
      return false;
  lua_getstack(L, level, &frame);
  struct CallInfo *bottom = read_below(frame.i_ci, at);
  return level >= DEPTH && bottom && !read_below(bottom, at);
}

// Calls itself until the stack has some frames.
static int learn(lua_State *L) {
  int left = (int)lua_tointeger(L, 1);
  if (left > 0) {
    lua_pushcfunction(L, learn);
    lua_pushinteger(L, left - 1);
    lua_call(L, 1, 0);
    return 0;
  }
  for (size_t at = 2; at < WORDS && !below_at; at++)
    if (leads_below(L, at))
      below_at = at;
  return 0;
}

bool gr_frame_init(void) {
  lua_State *L = luaL_newstate();
  if (!L)
    return false;
  lua_pushcfunction(L, learn);
  lua_pushinteger(L, DEPTH);
  bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
  lua_close(L);
  return done;
}
