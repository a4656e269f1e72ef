// SPDX-License-Identifier: MIT
// What each thread has for itself, so that no cache line goes from one to
// another: its part of numbers that all change all the time and somebody seldom
// looks at, as how many messages there are; and a block of memory to spare.
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

// A block from malloc that is as large as that, or NULL. What is in it is not
// known.
void *gr_spare_take(size_t bytes);

// Keeps the block, instead of one that is smaller, or frees it.
void gr_spare_put(void *block, size_t bytes);

#endif
