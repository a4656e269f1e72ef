// SPDX-License-Identifier: MIT
// Whose a C function is, its address tells: the standard library lies in the
// object that Lua lies in, ours in this one. (A program that has Lua linked
// into itself has its own functions there as well; they pin nothing.)
//
// A stack is walked from frame to frame. Lua's API reaches the frame of a level
// in as many steps as there are levels above, which is too slow for deep ones.
// So the step from one frame to the next below is learned from what the API
// says of a stack made for that; where it cannot be learned, the API is asked.
#include "sched/pin.h"

#include <lauxlib.h>
#include <lua.h>

#ifdef __ELF__
#include <link.h>
#else
#include <dlfcn.h>
#endif

// --- whose a function is ---

#ifdef __ELF__

typedef struct extent {
  uintptr_t begin, end;
} extent;

static struct {
  uintptr_t within; // an address in it
  extent extent;
} lua, own;

static int find_object(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
  extent all = {UINTPTR_MAX, 0};
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD)
      continue;
    uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    uintptr_t end = begin + info->dlpi_phdr[i].p_memsz;
    all.begin = begin < all.begin ? begin : all.begin;
    all.end = end > all.end ? end : all.end;
  }
  if (lua.within >= all.begin && lua.within < all.end)
    lua.extent = all;
  if (own.within >= all.begin && own.within < all.end)
    own.extent = all;
  return 0;
}

static void find_objects(void) {
  lua.within = (uintptr_t)lua_newstate;
  own.within = (uintptr_t)find_objects;
  dl_iterate_phdr(find_object, NULL);
}

bool gr_pin_is_foreign(lua_CFunction function) {
  uintptr_t at = (uintptr_t)function;
  return !(at >= lua.extent.begin && at < lua.extent.end) &&
         !(at >= own.extent.begin && at < own.extent.end);
}

#else

static void find_objects(void) {}

static void *object_of(void *address) {
  Dl_info info;
  return dladdr(address, &info) ? info.dli_fbase : NULL;
}

bool gr_pin_is_foreign(lua_CFunction function) {
  void *object = object_of((void *)(uintptr_t)function);
  return object != object_of((void *)(uintptr_t)lua_newstate) &&
         object != object_of((void *)(uintptr_t)find_objects);
}

#endif

// --- the frames of a stack ---

// Where a frame has the address of the next below, in words; 0: not known. All
// of Lua 5.4 have it at 2.
static size_t below_at;

static struct CallInfo *read_below(struct CallInfo *frame, size_t at) {
  return ((struct CallInfo **)(void *)frame)[at];
}

// Goes to the frame below, at `level`. False at the bottom, which is a frame of
// Lua's own, without one below.
static bool go_below(lua_State *L, lua_Debug *ar, int level) {
  if (!below_at)
    return lua_getstack(L, level, ar);
  ar->i_ci = read_below(ar->i_ci, below_at);
  return read_below(ar->i_ci, below_at) != NULL;
}

static bool has_foreign_frame(lua_State *L, bool but_lowest) {
  lua_Debug ar;
  bool more = lua_getstack(L, 0, &ar);
  for (int level = 1; more; level++) {
    lua_getinfo(L, "f", &ar); // each Lua stack has room for a few more
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    more = go_below(L, &ar, level);
    if (function && gr_pin_is_foreign(function) && (more || !but_lowest))
      return true;
  }
  return false;
}

bool gr_pin_is_under_foreign(gr_goroutine *g) {
  if (!g->L || !g->current)
    return false;
  for (gr_resume *r = g->resumes; r; r = r->outer)
    if (r->co != g->current && has_foreign_frame(r->co, false))
      return true;
  // The lowest function of a main is the host's, as in the interpreter.
  return (g->current != g->L && has_foreign_frame(g->current, false)) ||
         has_foreign_frame(g->L, g->is_main);
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

bool gr_pin_init(void) {
  find_objects();
  lua_State *L = luaL_newstate();
  if (!L)
    return false;
  lua_pushcfunction(L, learn);
  lua_pushinteger(L, DEPTH);
  bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
  lua_close(L);
  return done;
}
