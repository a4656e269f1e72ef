// SPDX-License-Identifier: MIT
// Whose a C function is, its address tells: the standard library lies in the
// object that Lua lies in, ours in this one. (A program that has Lua linked
// into itself has its own functions there as well; they pin nothing.)
#include "sched/pin.h"

#include <lua.h>

#ifdef __ELF__
#include <link.h>
#else
#include <dlfcn.h>
#endif

#include "sched/frame.h"

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

static bool has_foreign_frame(lua_State *L, bool but_lowest) {
  lua_Debug ar;
  bool more = lua_getstack(L, 0, &ar);
  for (int level = 1; more; level++) {
    lua_getinfo(L, "f", &ar); // each Lua stack has room for a few more
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    more = gr_frame_go_below(L, &ar, level);
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

bool gr_pin_init(void) {
  find_objects();
  return gr_frame_init();
}
