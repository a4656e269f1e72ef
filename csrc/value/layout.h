// SPDX-License-Identifier: MIT
// How Lua lays out tables, strings and userdata in memory, for which its API
// has no word. It has been the same since 5.4.1; that the Lua that is there
// does so, too, is found out at start, with an allocator that knows where each
// block lies and how large it is. If anything is not as expected, nobody looks
// at a table but by the API. (Lua may be in one program with this, where its
// own types for the same memory are known to the compiler: hence may_alias.)
#ifndef GR_LAYOUT_H
#define GR_LAYOUT_H

#include <lua.h>

#include "base/base.h"

typedef union gr_raw {
  const void *object;
  void *pointer;
  lua_Integer integer;
  lua_Number number;
} gr_raw;

// Types of values there, with their variants.
enum {
  GR_RAW_FALSE = 0x01,
  GR_RAW_TRUE = 0x11,
  GR_RAW_POINTER = 0x02,
  GR_RAW_INTEGER = 0x03,
  GR_RAW_FLOAT = 0x13,
  GR_RAW_SHORT_STRING = 0x44,
  GR_RAW_LONG_STRING = 0x54,
  GR_RAW_TABLE = 0x45,
  GR_RAW_USERDATA = 0x47,
  GR_RAW_TYPE = 0x0f, // without the variant: LUA_T...
};

// What all objects begin with.
typedef struct __attribute__((may_alias)) gr_raw_object {
  void *next;
  uint8_t type, color;
} gr_raw_object;

// Of the array part.
typedef struct __attribute__((may_alias)) gr_raw_item {
  gr_raw value;
  uint8_t type;
} gr_raw_item;

// Of the hash part. What has no value may have a key that is no longer there.
typedef struct __attribute__((may_alias)) gr_raw_node {
  gr_raw value;
  uint8_t type, key_type;
  int32_t next;
  gr_raw key;
} gr_raw_node;

typedef struct __attribute__((may_alias)) gr_raw_table {
  void *next;
  uint8_t type, color, flags, log_nodes;
  uint32_t limit; // of the array part, or a hint for it; see gr_raw_size
  gr_raw_item *items;
  gr_raw_node *nodes; // if there is room for none, one that all tables share
  gr_raw_node *last_free; // NULL then
  const void *metatable;
  void *gray;
} gr_raw_table;

typedef struct __attribute__((may_alias)) gr_raw_string {
  void *next;
  uint8_t type, color, extra, short_len;
  uint32_t hash;
  size_t long_len; // of a long one
  char bytes[];
} gr_raw_string;

// One without user values.
typedef struct __attribute__((may_alias)) gr_raw_userdata {
  void *next;
  uint8_t type, color;
  uint16_t user_values;
  size_t len;
  const void *metatable;
  _Alignas(8) unsigned char bytes[];
} gr_raw_userdata;

enum {
  GR_RAW_IS_HINT = 0x80, // in a table's flags: `limit` is one; the others are
                         // metamethods that it is known not to have
  GR_RAW_BLACK = 0x20,   // in the color: has been traversed by the collector,
                         // and must not get what has not without its knowing
  GR_RAW_COLLECTABLE = 0x40, // in types of values, but not in those of objects
};

// Keeps a place in the table on top for the name, which is added later, where
// Lua looks first: it goes along a chain of keys that hash alike, each perhaps
// in memory that is not in a cache. For names that are looked up often, before
// the others are added. [-0, +0, m]
void gr_reserve_field(lua_State *L, const char *name);

// Once a process, before the others.
void gr_layout_learn(void);

// Written by that only.
extern bool gr_layout_is_known;

static inline bool gr_raw_is_nil(unsigned type) {
  return (type & GR_RAW_TYPE) == LUA_TNIL;
}

// How many items the array part has room for. (Lua may keep in `limit` where
// the sequence ends: then the size is the next power of two.)
static inline uint32_t gr_raw_size(const gr_raw_table *t) {
  uint32_t n = t->limit;
  if (!(t->flags & GR_RAW_IS_HINT) || (n & (n - 1)) == 0)
    return n;
  return UINT32_C(1) << (32 - __builtin_clz(n));
}

// The table that is this item, or NULL if it is anything else or not in the
// array part.
static inline const void *gr_raw_get_table(const gr_raw_table *t, uint32_t i) {
  if (gr_raw_size(t) < i || t->items[i - 1].type != GR_RAW_TABLE)
    return NULL;
  return t->items[i - 1].value.object;
}

static inline const gr_raw_object *gr_raw_object_of(const gr_raw_table *t) {
  return (const void *)t;
}

// The string whose bytes Lua has there.
static inline const gr_raw_object *gr_raw_string_of(const char *bytes) {
  return (const void *)(bytes - offsetof(gr_raw_string, bytes));
}

// Puts a table or string, which is on the stack, where a value of this table
// is. False if that needs the collector's knowing.
static inline bool gr_raw_store(const gr_raw_table *t,
                                const gr_raw_object *object, gr_raw *value,
                                uint8_t *type) {
  if (t->color & GR_RAW_BLACK)
    return false;
  value->object = object;
  *type = object->type | GR_RAW_COLLECTABLE;
  return true;
}

static inline uint32_t gr_raw_node_count(const gr_raw_table *t) {
  return UINT32_C(1) << t->log_nodes;
}

#endif
