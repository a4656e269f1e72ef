// SPDX-License-Identifier: MIT
// Objects of one size that come and go all the time, and often many at once:
// what is freed is used again, up to a bound. (The C library's own caches hold
// a few; beyond these it merges blocks, and gives memory back to the system
// that it needs again at once.) Each thread has a few on a shelf of its own,
// which it fills and empties several at a time: where one thread makes objects
// and another frees them, they pass the lock seldom.
#ifndef GR_CACHE_H
#define GR_CACHE_H

#include "base/base.h"
#include "base/lock.h"
#include "base/thread.h"

typedef struct gr_cache {
  gr_lock lock;
  gr_shelf_number shelf; // constant, as are the next two
  size_t bytes;
  unsigned max;   // so many may be free, besides those on shelves
  unsigned count; // guarded by lock, as is first
  struct gr_cached *first;
} gr_cache;

#define GR_CACHE(shelf, bytes, max)                                            \
  { GR_LOCK_STATIC(GR_RANK_LEAF), shelf, bytes, max, 0, NULL }

// What is in it is not known; NULL when out of memory.
void *gr_cache_get(gr_cache *cache);
void *gr_cache_get_zeroed(gr_cache *cache);
void gr_cache_put(gr_cache *cache, void *object);

#endif
