// SPDX-License-Identifier: MIT
// The memory of one Lua state: blocks of up to GR_ARENA_SMALL_MAX bytes from
// free lists by size, cut from chunks; larger ones from the system, in a list,
// so that the arena can be dropped with all that is in it. One goroutine uses
// it at a time, so that it needs no locks, which is what the system's allocator
// pays for once a process has threads.
//
// A fixed arena lies in one given piece of memory. Sealed, it is a model:
// others begin as a copy of it.
#ifndef GR_ARENA_H
#define GR_ARENA_H

#include "base/base.h"
#include "base/list.h"
#include "base/pool.h"

enum {
  GR_ARENA_SMALL_MAX = 512,
  GR_ARENA_STEP = 16,
  GR_ARENA_HEADER = 16, // of a chunk
};

// With AddressSanitizer all blocks are the system's, which it watches; those of
// a copied arena, which are not, it is told about, and none is used again.
#ifdef GR_ASAN
enum { GR_ARENA_HAS_SMALL = 0 };
#else
enum { GR_ARENA_HAS_SMALL = 1 };
#endif

typedef struct gr_arena_chunk gr_arena_chunk;

typedef struct gr_arena {
  struct gr_arena_free {
    struct gr_arena_free *next;
  } * free_blocks[GR_ARENA_SMALL_MAX / GR_ARENA_STEP];
  char *at, *end;         // what is left of the newest chunk
  gr_arena_chunk *chunks; // newest first
  size_t chunk_bytes;     // of the next one; 0: there are no more
  gr_list large;          // blocks of the system's
  // Between them, blocks are in a chunk however large they are.
  const char *low, *high;
} gr_arena;

void gr_arena_init(gr_arena *arena);

// Frees all blocks.
void gr_arena_fini(gr_arena *arena);

// Makes, resizes (new_bytes > 0) or frees a block, as lua_Alloc does: block is
// NULL, or has old_bytes. NULL when out of memory, but never when it shrinks.
void *gr_arena_resize(gr_arena *arena, void *block, size_t old_bytes,
                      size_t new_bytes);

// What that does nearly always, in line.

// Also false for 0.
static inline bool gr_arena_is_small(size_t bytes) {
  return GR_ARENA_HAS_SMALL && bytes - 1 < GR_ARENA_SMALL_MAX;
}

static inline size_t gr_arena_class(size_t bytes) {
  return (bytes - 1) / GR_ARENA_STEP;
}

// A small block that was freed before, or NULL.
static inline void *gr_arena_get_again(gr_arena *arena, size_t bytes) {
  struct gr_arena_free **first = &arena->free_blocks[gr_arena_class(bytes)];
  struct gr_arena_free *block = *first;
  if (GR_LIKELY(block != NULL))
    *first = block->next;
  return block;
}

// True if a small block of so many bytes is there, or can be cut.
static inline bool gr_arena_has(const gr_arena *arena, size_t bytes) {
  return gr_arena_is_small(bytes) &&
         (arena->free_blocks[gr_arena_class(bytes)] ||
          (size_t)(arena->end - arena->at) >= GR_ARENA_SMALL_MAX);
}

static inline void gr_arena_put_small(gr_arena *arena, void *block,
                                      size_t bytes) {
  struct gr_arena_free **first = &arena->free_blocks[gr_arena_class(bytes)];
  struct gr_arena_free *freed = (struct gr_arena_free *)block;
  freed->next = *first;
  *first = freed;
}

// Makes a fixed arena in this memory, which is zero.
void gr_arena_init_fixed(gr_arena *arena, void *memory, size_t bytes);

// Clears what is free in it. It is a model from now on: constant. Returns how
// many bytes of its memory are to be copied.
size_t gr_arena_seal(gr_arena *model);

// Makes an arena that is to begin with a copy of the model, `bytes` of its
// memory, in a piece of the pool. What is behind the header is the caller's to
// copy. Returns how far away the copy is, or 0 when out of memory.
ptrdiff_t gr_arena_init_copy(gr_arena *arena, const gr_arena *model,
                             size_t bytes, gr_pool *pool);

#endif
