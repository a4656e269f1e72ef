// SPDX-License-Identifier: MIT
// Values in transit between Lua states. A scalar or a handle is held in the
// message itself; anything else is in a block, encoded once by the sender and
// decoded once by each receiver, in the receiver's own state.
//
// A message belongs to one place at a time: it is moved by assignment, and
// whoever has it last drops it. Blocks are counted, and constant once made.
#ifndef GR_MESSAGE_H
#define GR_MESSAGE_H

#include <lua.h>

#include "base/base.h"
#include "value/handle.h"
#include "value/image.h"

typedef enum gr_message_kind {
  GR_MESSAGE_NIL, // none
  GR_MESSAGE_FALSE,
  GR_MESSAGE_TRUE,
  GR_MESSAGE_INTEGER,
  GR_MESSAGE_FLOAT,
  GR_MESSAGE_POINTER, // light userdata
  GR_MESSAGE_HANDLE,
  GR_MESSAGE_BLOCK,
} gr_message_kind;

typedef struct gr_block gr_block;

typedef struct gr_message {
  uint8_t kind;
  uint8_t view;     // of a handle
  uint16_t type_id; // of a handle
  union {
    int64_t integer;
    double number;
    void *pointer; // or the handle's object
    gr_block *block;
  };
} gr_message;

// True if the value at the index is held by a message itself: *out is such a
// one, without a reference of its own to a handle's object, which is listed
// then (see handle.h). [-0, +0, m]
bool gr_message_borrow(lua_State *L, int index, gr_message *out);

// Encodes the value at the index. Raises when it cannot be sent, or when out
// of memory; then nothing is left behind. [-0, +0, v]
void gr_message_encode(lua_State *L, int index, gr_message *out);

// What the values of a block are, as errors name them.
typedef enum gr_values {
  GR_VALUES_SENT,   // "value"
  GR_VALUES_CALL,   // a function, "argument #1", ...
  GR_VALUES_RESULT, // "result #1", ...
  GR_VALUES_ERROR,  // "error"
} gr_values;

// Encodes the `count` values on top of the stack as one block, and pops them.
// Sharing among them is kept. [-count, +0, v]
gr_block *gr_block_encode(lua_State *L, int count, gr_values what);

// A block of one table of strings: `count` keys, each with its value behind it.
// Made without a Lua state; NULL when out of memory.
gr_block *gr_block_of_texts(const char *const *pairs, uint32_t count);

// Pushes the value of a message, which is dropped, also if there is an error:
// a value that cannot be rebuilt here. [-0, +1, v]
void gr_message_push(lua_State *L, gr_message *message);

// Pushes the values of a block, which stays, and returns how many. [-0, +n, v]
int gr_block_push(lua_State *L, const gr_block *block);

// What the call in the block needs of its state.
gr_image_kind gr_block_needs(const gr_block *block);
struct gr_code *
gr_block_code(const gr_block *block); // of its function, or NULL

// The same for a call in a state of its own, which gets what came along with
// the function: globals, additions to libraries.
int gr_block_push_call(lua_State *L, const gr_block *block);

void gr_message_drop(gr_message *message);

// Another message with the same content. Any thread.
gr_message gr_message_copy(const gr_message *message);

// Whether both are the same nil, boolean, number, light userdata or handle, as
// Lua's == has it. False for all other values.
bool gr_message_equal(const gr_message *a, const gr_message *b);

// Whether it is this string.
bool gr_message_is_string(const gr_message *message, const char *bytes,
                          size_t len);

// Calls visit for each reference to a handle's object that nobody has but the
// message: not for those in a block that others have, too.
void gr_message_each_handle(const gr_message *message,
                            void (*visit)(void *arg, const gr_handle_type *type,
                                          void *object),
                            void *arg);

gr_block *gr_block_retain(gr_block *block);
void gr_block_release(gr_block *block); // NULL is nothing

// The block is owned by an object that it has handles of itself: these hold no
// reference from now on. Before anybody else has the block.
void gr_block_disown(gr_block *block, void *object);

// How many blocks exist.
unsigned gr_block_count(void);

// Called in the receiver for each C function that comes by its address. Set
// once, at start.
extern void (*gr_message_on_c_function)(int (*function)(lua_State *L));

// Called in the receiver before a value is rebuilt that may be, or have, code
// that needs more than a lean state has. Set once, at start.
extern void (*gr_message_on_code)(lua_State *L);

// Types of handles have a small number in messages. Called once each, at start.
void gr_message_add_type(const gr_handle_type *type);

#endif
