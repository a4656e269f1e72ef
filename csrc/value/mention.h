// SPDX-License-Identifier: MIT
// Which globals, fields and modules a function mentions.
#ifndef GR_MENTION_H
#define GR_MENTION_H

#include <lua.h>

#include "value/image.h"

// Of each upvalue of a function, whether globals are looked up in it.
typedef struct gr_environments {
  bool are[256];
} gr_environments;

// Pushes a list of names of globals, and one of words: all strings in the
// function and in those within it. No string is twice in one of them; they are
// also keys in these tables. Returns which state it needs, but for what it
// captures. [-0, +2, v]
gr_image_kind gr_mentions_push(lua_State *L, gr_bytecode code,
                               const gr_environments *environments);

#endif
