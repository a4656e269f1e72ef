// SPDX-License-Identifier: MIT
// Semaphores: so many units, of which each holder has some. First come, first
// served: who comes while anybody waits, waits as well, so that a request for
// many is not starved by those for few.
//
// The word is the number of free units, shifted, and a flag: WAITERS. It is set
// if and only if somebody is queued, and changes under the lock, as do the free
// units while it is set. The first in the queue wants more than are free.
#ifndef GR_SEMAPHORE_H
#define GR_SEMAPHORE_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

typedef struct gr_semaphore {
  gr_object object;
  uint32_t size; // constant
  // acquire by who takes units, pairs with the release by who gives back
  _Atomic(uint64_t) word;

  gr_lock lock;
  gr_list waiters; // guarded by lock; of struct semaphore_waiter
} gr_semaphore;

#define GR_SEMAPHORE_MAX 0x7fffffff

// With one reference, or NULL when out of memory.
gr_semaphore *gr_semaphore_new(uint32_t size);

// Takes so many units (at most its size) at once, if that can be. The running
// goroutine, inside the runtime or not.
bool gr_semaphore_try(gr_semaphore *s, uint32_t units);

// GR_OK: the units are taken. Inside the runtime.
gr_status gr_semaphore_acquire(gr_semaphore *s, uint32_t units,
                               uint64_t deadline_ns);

// Gives so many back. False, and nothing is done, if fewer are taken; of the
// quick one also if somebody waits, and it may be called outside the runtime.
bool gr_semaphore_release_quickly(gr_semaphore *s, uint32_t units);
bool gr_semaphore_release(gr_semaphore *s, uint32_t units);

// How many units are free at this moment.
uint32_t gr_semaphore_free(const gr_semaphore *s);

#endif
