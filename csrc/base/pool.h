// SPDX-License-Identifier: MIT
// Equal pieces of memory, cut from large mappings that are never unmapped. The
// piece that was given back last is the next one: its memory is in the caches
// still. What has been idle for long gives its memory back to the system.
#ifndef GR_POOL_H
#define GR_POOL_H

#include "base/base.h"
#include "base/lock.h"

typedef struct gr_pool_piece {
  struct gr_pool_piece *next;
} gr_pool_piece;

typedef struct gr_pool {
  gr_lock lock;
  size_t piece_bytes; // constant
  gr_pool_piece *warm;
  gr_pool_piece *cold; // without memory, but at their ends
  uint32_t warm_count;
} gr_pool;

// `bytes` are rounded up.
void gr_pool_init(gr_pool *pool, size_t bytes);

// NULL when out of memory. What is in the piece is not known.
void *gr_pool_get(gr_pool *pool);
void gr_pool_put(gr_pool *pool, void *piece);

#endif
