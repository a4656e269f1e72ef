// SPDX-License-Identifier: MIT
// What each thread has for itself, so that no cache line goes from one to
// another: its part of numbers that all change all the time and somebody seldom
// looks at, as how many messages there are; and shelves of free objects.
#ifndef GR_THREAD_H
#define GR_THREAD_H

#include "base/base.h"

typedef enum gr_counted {
  GR_COUNT_BLOCKS,
  GR_COUNT_HANDLES,
  GR_COUNTS
} gr_counted;

// Relaxed: the sum is exact for whom all of them happened before.
void gr_count(gr_counted what, int change);
unsigned gr_count_sum(gr_counted what);

typedef enum gr_shelf_number {
  GR_SHELF_GOROUTINES,
  GR_SHELF_TASKS,
  GR_SHELF_BLOCKS, // three sizes
  GR_SHELF_BLOCKS_END = GR_SHELF_BLOCKS + 3,
  GR_SHELVES = GR_SHELF_BLOCKS_END
} gr_shelf_number;

enum { GR_SHELF_ROOM = 16 };

// Objects from malloc, that of the shortest time ago last; see cache.h.
typedef struct gr_shelf {
  unsigned count;
  void *objects[GR_SHELF_ROOM];
} gr_shelf;

// The calling thread's; NULL before it has counted anything.
gr_shelf *gr_shelf_find(gr_shelf_number number);

#endif
