// SPDX-License-Identifier: MIT
// An integer that goroutines share. All operations are sequentially consistent,
// and arithmetic wraps around.
#ifndef GR_ATOMIC_H
#define GR_ATOMIC_H

#include "sync/object.h"

typedef struct gr_atomic {
  gr_object object;
  _Atomic(uint64_t) value; // two's complement
} gr_atomic;

#endif
