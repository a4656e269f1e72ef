// SPDX-License-Identifier: MIT
// Objects of one size that come and go all the time, and often many at once:
// what is freed is used again, up to a bound. (The C library's own caches hold
// a few; beyond these it merges blocks, and gives memory back to the system
// that it needs again at once.)
#ifndef GR_CACHE_H
#define GR_CACHE_H

#include "base/base.h"
#include "base/lock.h"

typedef struct gr_cache {
  gr_lock lock;
  size_t bytes;   // constant, as is max
  unsigned max;   // so many may be free
  unsigned count; // guarded by lock, as is first
  struct gr_cached *first;
} gr_cache;

#define GR_CACHE(bytes, max)                                                   \
  { GR_LOCK_STATIC(GR_RANK_LEAF), bytes, max, 0, NULL }

// Zeroed; NULL when out of memory.
void *gr_cache_get(gr_cache *cache);
void gr_cache_put(gr_cache *cache, void *object);

#endif
