// SPDX-License-Identifier: MIT
// How values lie in a block: a sequence of items, each a tag byte and what the
// tag says, in the machine's own byte order, unaligned.
//
//   nil false true          nothing
//   INTEGER FLOAT           8 bytes
//   POINTER FUNCTION        8 bytes
//   SHORT                   length in 1 byte, bytes
//   STRING                  length in 8 bytes, bytes
//   HANDLE                  number in the block's list of handles, 4 bytes
//   GLOBALS                 the receiver's globals
//   MODULE                  a string item: what require gives for it; after a
//                           zero byte comes the name of what is found in it
//   ADDED                   a string item, and a table item: the module of that
//                           name, or if the receiver has none, this
//   PRELOAD                 a string item, and a function item: the loader of
//                           the module of that name; laters, captures; then the
//                           item itself
//   TRANSFER                count in 1 byte; a function and arguments, items;
//                           laters, captures: the result of calling it
//   CLOSURE                 C function: pointer, count in 1 byte, upvalues
//   TABLE                   array size, hash size (4 bytes each), flags byte;
//                           [metatable item]; array items; [fields]; key and
//                           value items up to END
//   FUNCTION_LUA            length in 4 bytes, bytecode (length 0: that of the
//                           block's code); count of upvalues in 1 byte; these,
//                           each an item or UPVALUE
//   TABLE_LATER, FUNCTION_LATER, CLOSURE_LATER
//                           what is filled further on: of a function all up to
//                           the upvalues
//   UPVALUE                 the same variable as: object (4 bytes), index (1)
//   REF                     object (4 bytes)
//
// Fields are short strings as keys, as many as the hash size: their hash (8
// bytes), how many bytes they are (1), these: a length (1) and bytes each; then
// as many values.
//
// Objects (tables, functions, strings that are kept) are numbered in the order
// in which they begin. The tag of one that is referred to later carries SHARED:
// only such ones need to be remembered while decoding.
//
// Tables and functions nested deeper than GR_DEPTH_MAX are filled later, so
// that neither side needs more C stack or Lua stack for deep structures: behind
// the values, or before a function is called that may have them. Each of these
// laters is the object (4 bytes) and what a TABLE has behind its tag, or the
// count of a function's upvalues and these.
//
// In a call, captures come before the values (PATH, SEARCHERS) and after: what
// its functions mention. Each is a byte that says what, a string item, an item,
// and its laters with their number (4 bytes). What is called while the values
// are decoded is preceded by the laters and captures that are known by then,
// each with their number (4 bytes).
//
//   GLOBAL   name and value
//   ABSENT   name of a global, and why it could not come along
//   MEMBER   module and what was added to it, as in MODULE; value
//   LOADED   name of a module; an ADDED item
//   PRELOAD  name of a module, and its loader
//   PATH     "path" or "cpath" of package, and its value
//   SEARCHERS  a list: package.searchers, with numbers for the stock ones
#ifndef GR_BLOCK_H
#define GR_BLOCK_H

#include "base/refs.h"
#include "base/thread.h"
#include "value/image.h"
#include "value/message.h"

enum {
  GR_TAG_NIL,
  GR_TAG_FALSE,
  GR_TAG_TRUE,
  GR_TAG_INTEGER,
  GR_TAG_FLOAT,
  GR_TAG_POINTER,
  GR_TAG_FUNCTION_C,
  GR_TAG_SHORT,
  GR_TAG_STRING,
  GR_TAG_HANDLE,
  GR_TAG_GLOBALS,
  GR_TAG_MODULE,
  GR_TAG_ADDED,
  GR_TAG_PRELOAD,
  GR_TAG_TRANSFER,
  GR_TAG_CLOSURE,
  GR_TAG_TABLE,
  GR_TAG_FUNCTION_LUA,
  GR_TAG_TABLE_LATER,
  GR_TAG_FUNCTION_LATER,
  GR_TAG_CLOSURE_LATER,
  GR_TAG_UPVALUE,
  GR_TAG_REF,
  GR_TAG_END,

  GR_TAG_SHARED = 0x80,
  GR_TAG_MASK = 0x7f,

  GR_TABLE_HAS_METATABLE = 1, // in the flags byte
  GR_TABLE_HAS_FIELDS = 2,

  GR_DEPTH_MAX = 100,
};

enum {
  GR_CAPTURE_GLOBAL,
  GR_CAPTURE_ABSENT,
  GR_CAPTURE_MEMBER,
  GR_CAPTURE_LOADED,
  GR_CAPTURE_PRELOAD,
  GR_CAPTURE_PATH,
  GR_CAPTURE_SEARCHERS,
};

_Static_assert(sizeof(lua_Integer) == 8 && sizeof(lua_Number) == 8 &&
                   sizeof(void *) == 8,
               "numbers and pointers are 8 bytes");

typedef struct gr_block_handle {
  const gr_handle_type *type;
  void *object;
  uint32_t view;
  bool is_owner; // of the block: without a reference
} gr_block_handle;

struct gr_block {
  gr_refs refs;
  // Constant once made.
  uint32_t value_count;
  uint32_t later_count;   // behind the values
  uint32_t setting_count; // captures before the values
  uint32_t capture_count; // after them
  uint32_t
      effect_count; // TRANSFER, ADDED and PRELOAD items: no more are obeyed
  uint32_t shared_count; // objects with SHARED: 0 means none to remember
  gr_image_kind needs;   // of the state that it is decoded in
  struct gr_code *code;  // of the function that is this object, or NULL
  uint32_t code_object;
  size_t bytes; // of items
  gr_block_handle *handles;
  uint32_t handle_count;
  size_t room; // for items
  unsigned char items[];
};

// With room for so many bytes of items at least, and nothing else set. NULL
// when out of memory.
gr_block *gr_block_new(size_t bytes);

// Installs a capture whose name is at the index, with its value behind it. What
// it leaves on the stack is the caller's to remove. (install.c) [-0, +n, v]
void gr_capture_install(lua_State *L, unsigned kind, int name);

// Encodes the `count` values from this stack index on, if they are plain data
// (see plain.c). Needs a free slot. NULL if there is anything else, or when out
// of memory. [-0, +0, -]
gr_block *gr_block_encode_plain(lua_State *L, int first, int count);

// As gr_block_encode, which tries that first.
gr_block *gr_block_encode_any(lua_State *L, int count, gr_values what);

#endif
