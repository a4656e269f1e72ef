// SPDX-License-Identifier: MIT
// What a state remembers of the functions that it starts goroutines with: their
// bytecode, and what they mention. Closures of one function share it. And that
// modules are looked for as usual.
//
// A closure points to its prototype, for which the API has no word: where in a
// closure that is, is found out on the Lua that is there, and if it is not as
// expected nothing is remembered. A place in the memo holds as long as a
// closure lives that it was made of, for then no other prototype is at that
// address.
#ifndef GR_MEMO_H
#define GR_MEMO_H

#include "value/mention.h"

typedef struct gr_memo {
  gr_image_kind needs;
  int upvalues;
  unsigned uses;        // since it was noted
  struct gr_code *code; // once it has been used often, if there is room
  gr_environments environments;
  size_t len;
  unsigned char bytecode[];
} gr_memo;

// Once a process. Without it nothing is remembered.
void gr_memo_learn(void);

// Makes room in a new state. [-0, +0, m]
void gr_memo_open(lua_State *L);

// Pushes what is known of the Lua function at the index, a userdata; its user
// values are the lists of gr_mentions_push. Or pushes nothing: NULL.
// [-0, +(0|1), -]
gr_memo *gr_memo_find(lua_State *L, int function);

// Remembers that, with the lists on top of the stack; but not the first time,
// for most goroutines start one or none. [-0, +0, m]
void gr_memo_note(lua_State *L, int function, gr_bytecode code, gr_memo memo);

// Some values on the stack, from this index on, that are objects: whether they
// are the very ones that were noted; and noting them. [-0, +0, m]
enum { GR_MEMO_USUAL = 6 };
bool gr_memo_are_usual(lua_State *L, int first);
void gr_memo_note_usual(lua_State *L, int first);

#endif
