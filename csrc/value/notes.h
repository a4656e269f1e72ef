// SPDX-License-Identifier: MIT
// What a state has in its registry and is needed with each message.
#ifndef GR_NOTES_H
#define GR_NOTES_H

#include <lua.h>

#include "base/base.h"

typedef struct gr_notes {
  const struct gr_modules_seen *filter; // once it is complete
  struct gr_shapes *shapes;             // once there are some
  struct gr_memory *memory;             // likewise, of functions; see memo.h
  bool has_met_fields;                  // one table with fields, or more
  bool is_watched;                      // see gr_notes_open
  // Handles, see handle.c: that were listed ever, those of them that are gone,
  // and those of these for which the list has no place any more.
  struct {
    uint32_t all, gone, left_out;
  } listed;
} gr_notes;

// Those of a state that is not a goroutine's are found without a search in the
// registry from then on. [-0, +0, m]
void gr_notes_open(lua_State *L);

// Those of this state, or NULL if it has none yet. [-0, +0, -]
gr_notes *gr_notes_find(lua_State *L);

// The same, but makes them. [-0, +0, m]
gr_notes *gr_notes_of(lua_State *L);

// As if the state had not met a message yet: before it is copied. [-0, +0, -]
void gr_notes_forget(lua_State *L);

#endif
