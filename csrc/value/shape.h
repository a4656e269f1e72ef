// SPDX-License-Identifier: MIT
// Shapes: sets of fields. Records that a state receives have the same ones over
// and over; from the second on, the hash part of such a table is a copy of one
// that has these fields already, and the values are put where they belong.
// Works where Lua's memory is laid out as expected (see layout.h).
//
// The strings in a copied hash part need no barrier of the collector: the table
// that is copied holds them in the registry, and the receiving table is not
// black then, so that it is traversed yet.
#ifndef GR_SHAPE_H
#define GR_SHAPE_H

#include <lua.h>

#include "value/layout.h"

enum { GR_SHAPE_FIELDS = 32, GR_SHAPE_BYTES = 255 }; // at most

// As they are in a block: each a length in 1 byte, and bytes.
typedef struct gr_fields {
  const unsigned char *bytes;
  uint8_t len;
  uint32_t count;
  uint64_t hash;
} gr_fields;

// By words of eight bytes, of which the last may begin within the one before.
static inline uint64_t gr_fields_hash(const unsigned char *bytes, size_t len) {
  const uint64_t prime = 0x9E3779B97F4A7C15u;
  uint64_t hash = len * prime, word = 0;
  for (size_t i = 0; i + 8 < len; i += 8) {
    __builtin_memcpy(&word, bytes + i, 8);
    hash = ((hash ^ hash >> 29) + word) * prime;
  }
  if (len >= 8) {
    __builtin_memcpy(&word, bytes + len - 8, 8);
  } else if (len >= 4) {
    uint32_t half;
    __builtin_memcpy(&half, bytes, 4);
    word = half;
    __builtin_memcpy(&half, bytes + len - 4, 4);
    word |= (uint64_t)half << 32;
  } else if (len > 0) {
    word = bytes[0] | (unsigned)bytes[len / 2] << 8 |
           (unsigned)bytes[len - 1] << 16;
  }
  hash = ((hash ^ hash >> 29) + word) * prime;
  return hash ^ hash >> 32;
}

typedef struct gr_shape {
  const gr_raw_table *model; // whose values are false
  uint64_t hash;
  uint32_t count;
  uint8_t nodes[GR_SHAPE_FIELDS]; // where each field is
  uint8_t len;
  unsigned char bytes[];
} gr_shape;

// Makes it as if no table had been received. [-0, +0, -]
void gr_shapes_forget(lua_State *L);

// The shapes that this state has met, or NULL: it has met none yet. They live
// as long as the state, or until they are forgotten.
typedef struct gr_shapes gr_shapes;
gr_shapes *gr_shapes_of(lua_State *L); // [-0, +0, m]

// The shape, if it was met before; until the next call. [-0, +0, m]
const gr_shape *gr_shapes_find(lua_State *L, gr_shapes *shapes,
                               const gr_fields *fields);

// Gives the fields to a table that has none yet, and room for so many. False if
// that cannot be done.
bool gr_shape_give(const gr_shape *shape, gr_raw_table *t);

#endif
