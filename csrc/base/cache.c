// SPDX-License-Identifier: MIT
#include "base/cache.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = GR_SHELF_ROOM / 2 }; // between a shelf and what all share

struct gr_cached {
  struct gr_cached *next;
};

// With AddressSanitizer all objects are the system's, which it watches.
#ifdef GR_ASAN
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

static void *pop_locked(gr_cache *cache) {
  struct gr_cached *object = cache->first;
  if (object) {
    cache->first = object->next;
    cache->count--;
  }
  return object;
}

static bool push_locked(gr_cache *cache, void *object) {
  struct gr_cached *cached = object;
  if (cache->count >= cache->max)
    return false;
  cached->next = cache->first;
  cache->first = cached;
  cache->count++;
  return true;
}

// One, and a batch for the shelf (may be NULL), which is empty. (After a fork
// the lock may be one that nobody lets go.)
static void *take(gr_cache *cache, gr_shelf *shelf) {
  if (GR_UNLIKELY(gr_is_child()))
    return NULL;
  gr_lock_lock(&cache->lock);
  void *object = pop_locked(cache), *more;
  for (int i = 1; shelf && i < BATCH && (more = pop_locked(cache)); i++)
    shelf->objects[shelf->count++] = more;
  gr_lock_unlock(&cache->lock);
  return object;
}

// All that there are, but for those that are too many.
static void give(gr_cache *cache, void **objects, unsigned count) {
  unsigned given = 0;
  if (GR_LIKELY(!gr_is_child())) {
    gr_lock_lock(&cache->lock);
    while (given < count && push_locked(cache, objects[given]))
      given++;
    gr_lock_unlock(&cache->lock);
  }
  for (; given < count; given++)
    free(objects[given]);
}

void *gr_cache_get(gr_cache *cache) {
  gr_shelf *shelf = gr_shelf_find(cache->shelf);
  void *object = shelf && shelf->count > 0 ? shelf->objects[--shelf->count]
                                           : take(cache, shelf);
  return object ? object : malloc(cache->bytes);
}

void *gr_cache_get_zeroed(gr_cache *cache) {
  void *object = gr_cache_get(cache);
  return object ? memset(object, 0, cache->bytes) : NULL;
}

void gr_cache_put(gr_cache *cache, void *object) {
  gr_shelf *shelf = KEEPS ? gr_shelf_find(cache->shelf) : NULL;
  if (!KEEPS) {
    free(object);
  } else if (!shelf) {
    give(cache, &object, 1);
  } else {
    if (shelf->count == GR_SHELF_ROOM) { // those of longest ago
      give(cache, shelf->objects, BATCH);
      shelf->count -= BATCH;
      memcpy(shelf->objects, shelf->objects + BATCH,
             shelf->count * sizeof *shelf->objects);
    }
    shelf->objects[shelf->count++] = object;
  }
}
