// SPDX-License-Identifier: MIT
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

// With AddressSanitizer all blocks are the system's, which it watches.
#ifdef GR_ASAN
enum { SMALL_MAX = 0 };
#else
enum { SMALL_MAX = GR_ARENA_SMALL_MAX };
#endif

enum { CHUNK_MIN = 8 * 1024, CHUNK_MAX = 64 * 1024, HEADER = 16 };

struct gr_arena_chunk {
  gr_arena_chunk *next;
};

void gr_arena_init(gr_arena *arena) {
  *arena = (gr_arena){.chunk_bytes = CHUNK_MIN};
}

void gr_arena_fini(gr_arena *arena) {
  for (gr_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
}

static bool is_small(size_t bytes) {
  return bytes <= SMALL_MAX;
}

static size_t class_of(size_t bytes) {
  return (bytes - 1) / GR_ARENA_STEP;
}

static void put_small(gr_arena *arena, void *block, size_t class) {
  struct gr_arena_free *freed = block;
  freed->next = arena->free_blocks[class];
  arena->free_blocks[class] = freed;
}

static bool add_chunk(gr_arena *arena) {
  size_t left = (size_t)(arena->end - arena->at);
  if (left >= GR_ARENA_STEP) // a multiple of it, and small
    put_small(arena, arena->at, left / GR_ARENA_STEP - 1);
  arena->at = arena->end = NULL;
  gr_arena_chunk *chunk = malloc(arena->chunk_bytes);
  if (!chunk)
    return false;
  chunk->next = arena->chunks;
  arena->chunks = chunk;
  arena->at = (char *)chunk + HEADER;
  arena->end = (char *)chunk + arena->chunk_bytes;
  if (arena->chunk_bytes < CHUNK_MAX)
    arena->chunk_bytes *= 2;
  return true;
}

static void *get_small(gr_arena *arena, size_t class) {
  struct gr_arena_free *block = arena->free_blocks[class];
  if (block) {
    arena->free_blocks[class] = block->next;
    return block;
  }
  size_t bytes = (class + 1) * GR_ARENA_STEP;
  if ((size_t)(arena->end - arena->at) < bytes && !add_chunk(arena))
    return NULL;
  void *cut = arena->at;
  arena->at += bytes;
  return cut;
}

static void *get(gr_arena *arena, size_t bytes) {
  return is_small(bytes) ? get_small(arena, class_of(bytes)) : malloc(bytes);
}

static void put(gr_arena *arena, void *block, size_t bytes) {
  if (is_small(bytes))
    put_small(arena, block, class_of(bytes));
  else
    free(block);
}

static void *move(gr_arena *arena, void *block, size_t old_bytes,
                  size_t new_bytes) {
  void *moved = get(arena, new_bytes);
  if (!moved) // if it shrinks it may stay: as a larger block of that class
    return new_bytes <= old_bytes ? block : NULL;
  memcpy(moved, block, old_bytes < new_bytes ? old_bytes : new_bytes);
  put(arena, block, old_bytes);
  return moved;
}

void *gr_arena_resize(gr_arena *arena, void *block, size_t old_bytes,
                      size_t new_bytes) {
  if (new_bytes == 0) {
    if (block && old_bytes > 0)
      put(arena, block, old_bytes);
    return NULL;
  }
  if (!block || old_bytes == 0)
    return get(arena, new_bytes);
  bool was_small = is_small(old_bytes), small = is_small(new_bytes);
  if (!was_small && !small) {
    void *resized = realloc(block, new_bytes);
    return resized || new_bytes > old_bytes ? resized : block;
  }
  if (was_small && small && class_of(old_bytes) == class_of(new_bytes))
    return block;
  return move(arena, block, old_bytes, new_bytes);
}
