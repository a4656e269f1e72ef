// SPDX-License-Identifier: MIT
// A model: a Lua state that others are copies of. It lies in one piece of
// memory without gaps, at an address that nothing but a pointer into it equals
// by chance; so the words that have to be changed in a copy are found by
// looking.
#ifndef GR_MODEL_H
#define GR_MODEL_H

#include <lua.h>

#include "value/home.h"

enum {
  GR_MODEL_BYTES = 256 * 1024, // at most
  GR_MODEL_ONCE_BYTES = 512 * 1024,
  GR_MODELS_APART = 4 * GR_MODEL_BYTES,
  GR_MODELS = 64, // at most
};

// Where models are: no text has these bytes in this order, no number is likely
// to be one of these addresses, and the system puts nothing there.
#ifndef __SANITIZE_THREAD__
#define GR_MODELS_AT 0x1CE1059F0000
#else
#define GR_MODELS_AT 0x1CE1050000 // that tool lets programs use parts only
#endif
#define GR_MODELS_END (GR_MODELS_AT + (uintptr_t)GR_MODELS * GR_MODELS_APART)

typedef struct gr_model {
  gr_home home; // with its arena, which is sealed
  lua_State *L;
  char *memory;
  size_t bytes;     // from there on that are to be copied
  uint16_t *places; // words that point into it, by their index
  uint32_t place_count;
  int8_t *is_place; // the same, of each word: -1, or 0
  // Copies it to the memory that is so far away, but for the arena's header; in
  // the copy these words point into the copy.
  void (*copy)(const struct gr_model *model, ptrdiff_t distance);
} gr_model;

// Makes one at the address, a multiple of 64 KB, the largest page, with what
// `fill(argument)` makes of an empty state. Constant from then on. Returns why
// there is none, or NULL.
const char *gr_model_build(gr_model *model, uintptr_t at, lua_CFunction fill,
                           void *argument);

// The same, but that `fill` is called once only: there are gaps where it has
// freed blocks, in which copies can allocate. What it raises, but for want of
// memory, is on the stack of `to` then, a string.
const char *gr_model_build_once(gr_model *model, uintptr_t at,
                                lua_CFunction fill, void *argument,
                                lua_State *to);

#endif
