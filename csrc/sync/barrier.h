// SPDX-License-Identifier: MIT
// Barriers: goroutines wait for each other until so many have come; then all go
// on, and it begins anew.
//
// A goroutine has left when it takes itself out of the queue, not when its time
// is over: if the last one comes in between, it has been there, and its wait
// has succeeded (`done`).
#ifndef GR_BARRIER_H
#define GR_BARRIER_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

typedef struct gr_barrier {
  gr_object object;
  uint32_t size; // constant

  gr_lock lock;

  // Written under the lock; the count is read by dumps.
  atomic_uint count; // of waiters
  gr_list waiters;
} gr_barrier;

#define GR_BARRIER_MAX 0x7fffffff

// With one reference, or NULL when out of memory.
gr_barrier *gr_barrier_new(uint32_t size);

// Waits until so many wait. Running goroutine, inside the runtime.
gr_status gr_barrier_wait(gr_barrier *b, uint64_t deadline_ns);

// How many wait at this moment.
uint32_t gr_barrier_count(const gr_barrier *b);

#endif
