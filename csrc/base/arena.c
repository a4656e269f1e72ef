// SPDX-License-Identifier: MIT
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/poison.h"

enum { CHUNK_MIN = 8 * 1024, CHUNK_MAX = 64 * 1024 };

struct gr_arena_chunk {
  gr_arena_chunk *next;
  gr_pool *pool; // that it is a piece of, or NULL
};

_Static_assert(sizeof(gr_arena_chunk) <= GR_ARENA_HEADER,
               "room for the header");
_Static_assert(sizeof(gr_link) <= GR_ARENA_HEADER, "room for the header");

void gr_arena_init(gr_arena *arena) {
  *arena = (gr_arena){.chunk_bytes = CHUNK_MIN};
  gr_list_init(&arena->large);
}

void gr_arena_fini(gr_arena *arena) {
  gr_link *large;
  while ((large = gr_list_pop(&arena->large)))
    free(large);
  for (gr_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    if (chunk->pool)
      gr_pool_put(chunk->pool, chunk);
    else
      free(chunk);
  }
}

static void add_first_chunk(gr_arena *arena, void *memory, size_t bytes,
                            gr_pool *pool) {
  gr_arena_chunk *chunk = memory;
  *chunk = (gr_arena_chunk){NULL, pool};
  arena->chunks = chunk;
  arena->at = (char *)memory + GR_ARENA_HEADER;
  arena->end = (char *)memory + bytes;
  arena->low = arena->at;
  arena->high = arena->end;
}

// --- small blocks ---

static size_t round_up(size_t bytes) {
  return (bytes + GR_ARENA_STEP - 1) / GR_ARENA_STEP * GR_ARENA_STEP;
}

static bool add_chunk(gr_arena *arena) {
  size_t left = (size_t)(arena->end - arena->at);
  if (arena->chunk_bytes == 0)
    return false;
  while (left >= GR_ARENA_STEP) { // a multiple of it
    size_t part = left < GR_ARENA_SMALL_MAX ? left : GR_ARENA_SMALL_MAX;
    gr_arena_put_small(arena, arena->at, part);
    arena->at += part;
    left -= part;
  }
  gr_arena_chunk *chunk = malloc(arena->chunk_bytes);
  if (!chunk)
    return false;
  *chunk = (gr_arena_chunk){arena->chunks, NULL};
  arena->chunks = chunk;
  arena->at = (char *)chunk + GR_ARENA_HEADER;
  arena->end = (char *)chunk + arena->chunk_bytes;
  if (arena->chunk_bytes < CHUNK_MAX)
    arena->chunk_bytes *= 2;
  return true;
}

static void *get_small(gr_arena *arena, size_t bytes) {
  void *again = gr_arena_get_again(arena, bytes);
  if (again)
    return again;
  bytes = round_up(bytes);
  if ((size_t)(arena->end - arena->at) < bytes && !add_chunk(arena))
    return NULL;
  void *cut = arena->at;
  arena->at += bytes;
  return cut;
}

// --- large blocks ---

static void *get_large(gr_arena *arena, size_t bytes) {
  gr_link *link = bytes < SIZE_MAX - GR_ARENA_HEADER
                      ? malloc(GR_ARENA_HEADER + bytes)
                      : NULL;
  if (!link)
    return NULL;
  gr_list_push(&arena->large, link);
  return (char *)link + GR_ARENA_HEADER;
}

static gr_link *link_of(void *block) {
  return (gr_link *)(void *)((char *)block - GR_ARENA_HEADER);
}

static void put_large(void *block) {
  gr_list_remove(link_of(block));
  free(link_of(block));
}

static void *resize_large(void *block, size_t bytes) {
  gr_link *link = bytes < SIZE_MAX - GR_ARENA_HEADER
                      ? realloc(link_of(block), GR_ARENA_HEADER + bytes)
                      : NULL;
  if (!link)
    return NULL;
  link->next->prev = link->prev->next = link;
  return (char *)link + GR_ARENA_HEADER;
}

// --- what has been in a chunk from the beginning ---

static bool is_within(const gr_arena *arena, const void *block) {
  return (const char *)block >= arena->low && (const char *)block < arena->high;
}

static void *cut(gr_arena *arena, size_t bytes) {
  if ((size_t)(arena->end - arena->at) < bytes)
    return NULL;
  void *block = arena->at;
  arena->at += round_up(bytes);
  return block;
}

static void put_within(gr_arena *arena, char *block, size_t bytes) {
#ifdef GR_ASAN
  (void)arena;
  GR_POISON(block, bytes);
#else
  size_t left = round_up(bytes);
  for (size_t part; left > 0; block += part, left -= part) {
    part = left < GR_ARENA_SMALL_MAX ? left : GR_ARENA_SMALL_MAX;
    gr_arena_put_small(arena, block, part);
  }
#endif
}

// --- all ---

static void *get(gr_arena *arena, size_t bytes) {
  if (GR_LIKELY(gr_arena_is_small(bytes)))
    return get_small(arena, bytes);
  bool is_fixed = arena->chunk_bytes == 0;
  return is_fixed ? cut(arena, bytes) : get_large(arena, bytes);
}

static void put(gr_arena *arena, void *block, size_t bytes) {
  if (GR_LIKELY(gr_arena_is_small(bytes)))
    gr_arena_put_small(arena, block, bytes);
  else if (is_within(arena, block))
    put_within(arena, block, bytes);
  else
    put_large(block);
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
  bool was_small = gr_arena_is_small(old_bytes);
  bool small = gr_arena_is_small(new_bytes);
  if (!was_small && !small && !is_within(arena, block)) {
    void *resized = resize_large(block, new_bytes);
    return resized || new_bytes > old_bytes ? resized : block;
  }
  if (was_small && small &&
      gr_arena_class(old_bytes) == gr_arena_class(new_bytes))
    return block;
  return move(arena, block, old_bytes, new_bytes);
}

// --- models and copies ---

void gr_arena_init_fixed(gr_arena *arena, void *memory, size_t bytes) {
  gr_arena_init(arena);
  arena->chunk_bytes = 0;
  add_first_chunk(arena, memory, bytes, NULL);
}

size_t gr_arena_seal(gr_arena *model) {
  GR_UNPOISON(model->low, (size_t)(model->at - model->low));
  for (size_t i = 0; i < GR_ARENA_SMALL_MAX / GR_ARENA_STEP; i++)
    for (struct gr_arena_free *at = model->free_blocks[i]; at; at = at->next)
      memset(at + 1, 0, (i + 1) * GR_ARENA_STEP - sizeof *at);
  return (size_t)(model->at - (char *)model->chunks);
}

ptrdiff_t gr_arena_init_copy(gr_arena *arena, const gr_arena *model,
                             size_t bytes, gr_pool *pool) {
  char *memory = gr_pool_get(pool);
  if (!memory)
    return 0;
  ptrdiff_t distance = memory - (char *)model->chunks;
  gr_arena_init(arena);
  add_first_chunk(arena, memory, pool->piece_bytes, pool);
  arena->at += bytes - GR_ARENA_HEADER;
  for (size_t i = 0; i < GR_ARENA_SMALL_MAX / GR_ARENA_STEP; i++) {
    char *at = (char *)model->free_blocks[i];
    arena->free_blocks[i] = at ? (void *)(at + distance) : NULL;
  }
  return distance;
}
