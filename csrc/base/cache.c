// SPDX-License-Identifier: MIT
#include "base/cache.h"

#include <stdlib.h>
#include <string.h>

struct gr_cached {
  struct gr_cached *next;
};

// With AddressSanitizer all objects are the system's, which it watches.
#ifdef GR_ASAN
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

void *gr_cache_get(gr_cache *cache) {
  gr_lock_lock(&cache->lock);
  struct gr_cached *object = cache->first;
  if (object) {
    cache->first = object->next;
    cache->count--;
  }
  gr_lock_unlock(&cache->lock);
  return object ? memset(object, 0, cache->bytes) : calloc(1, cache->bytes);
}

void gr_cache_put(gr_cache *cache, void *object) {
  struct gr_cached *cached = object;
  gr_lock_lock(&cache->lock);
  bool keeps = KEEPS && cache->count < cache->max;
  if (keeps) {
    cached->next = cache->first;
    cache->first = cached;
    cache->count++;
  }
  gr_lock_unlock(&cache->lock);
  if (!keeps)
    free(object);
}
