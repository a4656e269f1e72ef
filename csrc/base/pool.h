// SPDX-License-Identifier: MIT
// Equal pieces of memory, cut from slabs. Those in which a piece was given back
// last are used first: their memory is in the caches still. A slab of which
// nothing is used goes back to the system, unless little is free; and when
// nearly all is free that the pool has, single pieces lose their memory, too,
// by and by (gr_pool_cool).
#ifndef GR_POOL_H
#define GR_POOL_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"

enum { GR_POOL_ALIGN = 256 }; // of each piece; copies of models rely on it

typedef struct gr_pool {
  gr_lock lock;
  size_t piece_bytes; // constant

  // Guarded by lock.
  gr_list warm;      // slabs with free pieces that have memory
  gr_list cold;      // slabs whose free pieces have none
  size_t warm_count; // of free pieces that have memory
  size_t used;
  bool is_too_warm; // it is in a list, or about to be

  struct gr_pool *next_warm; // in that list
} gr_pool;

// `bytes` are rounded up.
void gr_pool_init(gr_pool *pool, size_t bytes);

// NULL when out of memory. What is in the piece is not known.
void *gr_pool_get(gr_pool *pool);
void gr_pool_put(gr_pool *pool, void *piece);

// True if some pool keeps much more memory than is used: a hint.
bool gr_pool_is_any_too_warm(void);

// Takes the memory of the free pieces in one slab of each such pool, which may
// take a millisecond. One thread at a time.
void gr_pool_cool(void);

#endif
