// SPDX-License-Identifier: MIT
// Numbers that all threads change all the time and somebody seldom looks at:
// how many messages there are. Each thread has a part of its own, so that no
// cache line goes from one to another, and the sum is what counts.
#ifndef GR_COUNT_H
#define GR_COUNT_H

#include "base/base.h"

typedef enum gr_counted {
  GR_COUNT_BLOCKS,
  GR_COUNT_HANDLES,
  GR_COUNTS
} gr_counted;

// Relaxed: the sum is exact for whom all of them happened before.
void gr_count(gr_counted what, int change);
unsigned gr_count_sum(gr_counted what);

#endif
