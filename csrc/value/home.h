// SPDX-License-Identifier: MIT
// What the state of a goroutine needs outside itself: its memory, and the limit
// on that.
#ifndef GR_HOME_H
#define GR_HOME_H

#include <lua.h>

#include "base/arena.h"
#include "base/base.h"
#include "value/notes.h"

// The argument of its allocator; on the goroutine's stack, below all else.
typedef struct gr_home {
  gr_arena arena;
  size_t used, limit; // bytes that Lua has asked for, and may
  size_t easy_limit;  // `limit`, but for 0 while there is more to decide
  size_t soft_limit;  // `limit` but for a grace after it was reached
  bool refused;       // the last request for more
  bool warns, warning_continues;
  // While Lua closes it: what is made now is not finalized.
  bool is_closing;
  struct gr_late_handle *late;  // see handle.c
  const struct gr_image *image; // of which it is a copy, or NULL: built
  ptrdiff_t distance;           // from the model
  gr_notes notes;
  // Of a copy: whether it has modules besides those of the model, which have
  // names in the image.
  enum { GR_MODULES_UNKNOWN, GR_MODULES_OF_IMAGE, GR_MODULES_MORE } modules;
} gr_home;

// With this limit (0: none), and no arena yet.
void gr_home_init(gr_home *home, size_t limit);

// A lua_Alloc; `arg` is the home.
void *gr_home_allocate(void *arg, void *block, size_t old_bytes,
                       size_t new_bytes);

// True if it is certain that a string of so many bytes can be made, with no
// error for want of memory: a block for it is there, and no limit to reach.
bool gr_home_has_string(lua_State *L, size_t len);

gr_home *gr_home_of(lua_State *L); // of a goroutine, not of main

// Of any state: NULL if it has none.
static inline gr_home *gr_home_find(lua_State *L) {
  void *home;
  return lua_getallocf(L, &home) == gr_home_allocate ? home : NULL;
}

// The same if it is no copy.
static inline gr_home *gr_home_of_copy(lua_State *L) {
  gr_home *home = gr_home_find(L);
  return home && home->image ? home : NULL;
}

void gr_home_lift_limit(gr_home *home);

#endif
