// SPDX-License-Identifier: MIT
// What a state remembers of the functions that it starts goroutines with: their
// bytecode, and what they mention. Closures of one function share it. And that
// modules are looked for as usual.
//
// A closure points to its prototype, for which the API has no word: where in a
// closure that is, is found out on the Lua that is there. If it is not as
// expected, or the layout of tables, nothing is remembered. A place in the memo
// holds as long as a closure lives that it was made of, for then no other
// prototype is at that address.
#ifndef GR_MEMO_H
#define GR_MEMO_H

#include "value/mention.h"
#include "value/module.h"

typedef struct gr_memory gr_memory; // of a state

typedef struct gr_memo {
  gr_image_kind needs;
  unsigned place;
  bool has_lists; // one of them is not empty
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

// What is known of the Lua function at the index, or NULL; for as long as that
// is on the stack and no other is noted. [-0, +0, -]
gr_memo *gr_memo_find(lua_State *L, int function);

// Pushes its lists: see gr_mentions_push. [-0, +2, -]
void gr_memo_push_lists(lua_State *L, const gr_memo *memo);

// Remembers that, with the lists on top of the stack; but not the first time,
// for most goroutines start one or none. [-0, +0, m]
void gr_memo_note(lua_State *L, int function, gr_bytecode code, gr_memo memo);

enum { GR_MEMO_USUAL = 2 + GR_SEARCHERS };

// Whether package.path, cpath and the searchers are the very ones that were
// noted. [-0, +0, -]
bool gr_memo_is_usual(lua_State *L);

// Notes them, which are on the stack, in this order, from `first` on, if they
// are still there. [-0, +0, m]
void gr_memo_note_usual(lua_State *L, int first);

#endif
