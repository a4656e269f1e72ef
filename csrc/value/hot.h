// SPDX-License-Identifier: MIT
// What a function uses of its state's memory from one wait to the next: of the
// 16 KB that a copy of an image has, some thirty cache lines, and the same in
// all copies. They are found out once, by following what Lua would, from the
// functions that run; so that they can be fetched before a goroutine goes on
// which has waited for so long that it is in no cache.
//
// Nothing depends on its being right. Where Lua has what is read here is known
// of tables and strings (layout.h), and assumed of functions; so addresses are
// only followed into the copy's own memory.
#ifndef GR_HOT_H
#define GR_HOT_H

#include <lua.h>

#include "base/fetch.h"

// Of a state whose memory is in [memory, memory + bytes), when a function of
// its has called one in C, which is about to wait. [-0, +0, -]
void gr_hot_find(lua_State *L, const char *memory, size_t bytes,
                 gr_lines *lines);

// Before that is known: where the state begins, and so much from there on.
void gr_hot_assume(const char *memory, lua_State *L, const char *from,
                   size_t bytes, gr_lines *lines);

#endif
