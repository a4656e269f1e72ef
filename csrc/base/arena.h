// SPDX-License-Identifier: MIT
// The memory of one Lua state: blocks of up to ARENA_SMALL_MAX bytes from free
// lists by size, cut from chunks; larger ones from the system. One goroutine
// uses it at a time, so that it needs no locks, which is what the system's
// allocator pays for once a process has threads.
#ifndef GR_ARENA_H
#define GR_ARENA_H

#include "base/base.h"

enum { GR_ARENA_SMALL_MAX = 512, GR_ARENA_STEP = 16 };

typedef struct gr_arena_chunk gr_arena_chunk;

typedef struct gr_arena {
  struct gr_arena_free {
    struct gr_arena_free *next;
  } * free_blocks[GR_ARENA_SMALL_MAX / GR_ARENA_STEP];
  char *at, *end;         // what is left of the newest chunk
  gr_arena_chunk *chunks; // newest first
  size_t chunk_bytes;     // of the next one
} gr_arena;

void gr_arena_init(gr_arena *arena);

// Frees all small blocks; the large ones have been freed one by one.
void gr_arena_fini(gr_arena *arena);

// Makes, resizes (new_bytes > 0) or frees a block, as lua_Alloc does: block is
// NULL, or has old_bytes. NULL when out of memory, but never when it shrinks.
void *gr_arena_resize(gr_arena *arena, void *block, size_t old_bytes,
                      size_t new_bytes);

#endif
