// SPDX-License-Identifier: MIT
// Which globals, fields and modules a function mentions.
#ifndef GR_MENTION_H
#define GR_MENTION_H

#include <lua.h>

#include "value/image.h"

// Of each upvalue of a function, whether globals are looked up in it.
typedef struct gr_environments {
  uint64_t are[4]; // bits
} gr_environments;

static inline bool gr_is_environment(const gr_environments *e, unsigned i) {
  return e->are[i / 64] >> i % 64 & 1;
}

static inline void gr_add_environment(gr_environments *e, unsigned i) {
  e->are[i / 64] |= UINT64_C(1) << i % 64;
}

// Pushes a list of names of globals, and one of words: all strings in the
// function and in those within it. No string is twice in one of them; they are
// also keys in these tables. Returns which state it needs, but for what it
// captures. [-0, +2, v]
gr_image_kind gr_mentions_push(lua_State *L, gr_bytecode code,
                               const gr_environments *environments);

#endif
