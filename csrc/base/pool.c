// SPDX-License-Identifier: MIT
#include "base/pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/poison.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum {
  LINE = 64,                    // of the caches
  SLAB_BYTES = 2 * 1024 * 1024, // of a large page, where there are such
  WARM_BYTES = 64 * 1024 * 1024,
};

void gr_pool_init(gr_pool *pool, size_t bytes) {
  *pool = (gr_pool){.lock = GR_LOCK_STATIC(GR_RANK_LEAF),
                    .piece_bytes = (bytes + LINE - 1) / LINE * LINE};
}

static char *map_slab(size_t bytes) {
  size_t mapped = bytes + SLAB_BYTES;
  char *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    return NULL;
  size_t before = SLAB_BYTES - (uintptr_t)at % SLAB_BYTES;
  munmap(at, before);
  if (before < SLAB_BYTES)
    munmap(at + before + bytes, SLAB_BYTES - before);
#ifdef MADV_HUGEPAGE
  madvise(at + before, bytes, MADV_HUGEPAGE); // touching pages is what costs
#endif
  return at + before;
}

static void push(gr_pool *pool, gr_pool_piece **list, void *memory) {
  gr_pool_piece *piece = memory;
  piece->next = *list;
  *list = piece;
  GR_POISON(piece + 1, pool->piece_bytes - sizeof *piece);
}

static gr_pool_piece *pop(gr_pool_piece **list) {
  gr_pool_piece *piece = *list;
  if (piece)
    *list = piece->next;
  return piece;
}

// Cuts the rest into pieces, and gives the first to the caller. The pieces are
// touched before the lock is taken.
static void *cut(gr_pool *pool, char *slab, size_t bytes) {
  gr_pool_piece *pieces = NULL, *last = NULL;
  for (size_t i = bytes / pool->piece_bytes; i-- > 1;) {
    push(pool, &pieces, slab + i * pool->piece_bytes);
    if (!last)
      last = pieces;
  }
  if (!last)
    return slab;
  gr_lock_lock(&pool->lock);
  last->next = pool->cold;
  pool->cold = pieces;
  gr_lock_unlock(&pool->lock);
  return slab;
}

void *gr_pool_get(gr_pool *pool) {
  gr_lock_lock(&pool->lock);
  gr_pool_piece *piece = pop(&pool->warm);
  if (piece)
    pool->warm_count--;
  else
    piece = pop(&pool->cold);
  gr_lock_unlock(&pool->lock);
  if (piece) {
    GR_UNPOISON(piece, pool->piece_bytes);
    return piece;
  }
  size_t bytes =
      pool->piece_bytes > SLAB_BYTES ? pool->piece_bytes : SLAB_BYTES;
  char *slab = map_slab(bytes);
  return slab ? cut(pool, slab, bytes) : NULL;
}

// The whole pages in the piece, but for where its link is.
static void give_back(char *piece, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t from = (uintptr_t)piece + sizeof(gr_pool_piece);
  uintptr_t to = ((uintptr_t)piece + bytes) / page * page;
  from = (from + page - 1) / page * page;
  if (from < to)
    madvise((void *)from, to - from, MADV_DONTNEED);
}

void gr_pool_put(gr_pool *pool, void *piece) {
  size_t bytes = pool->piece_bytes;
  gr_lock_lock(&pool->lock);
  bool is_warm = pool->warm_count < WARM_BYTES / bytes;
  pool->warm_count += is_warm;
  if (is_warm)
    push(pool, &pool->warm, piece);
  gr_lock_unlock(&pool->lock);
  if (is_warm)
    return;
  give_back(piece, bytes);
  gr_lock_lock(&pool->lock);
  push(pool, &pool->cold, piece);
  gr_lock_unlock(&pool->lock);
}
