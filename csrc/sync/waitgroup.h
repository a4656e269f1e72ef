// SPDX-License-Identifier: MIT
// Wait groups: a count of what is still to be done, and who waits until that is
// nothing.
//
// The word is the count, shifted, and a flag: WAITERS. It is set and cleared
// under the lock, and while it is set the count reaches zero under the lock
// only: so those who wait for one zero, and nobody else, are woken by it.
#ifndef GR_WAITGROUP_H
#define GR_WAITGROUP_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

typedef struct gr_waitgroup {
  gr_object object;
  // release by who counts down, acquire by who finds zero
  _Atomic(uint64_t) word;

  gr_lock lock;
  gr_list waiters; // guarded by lock
} gr_waitgroup;

#define GR_WAITGROUP_MAX 0x7fffffff

// With one reference, or NULL when out of memory.
gr_waitgroup *gr_waitgroup_new(uint32_t count);

// Adds, or takes off. False if the count would be negative or above the
// maximum: then it stays what it was. `gr_waitgroup_add_quickly` also if
// somebody has to be woken; it may be called outside the runtime.
bool gr_waitgroup_add_quickly(gr_waitgroup *wg, int64_t change);
bool gr_waitgroup_add(gr_waitgroup *wg, int64_t change);

// Waits until the count is zero. Running goroutine, inside the runtime.
gr_status gr_waitgroup_wait(gr_waitgroup *wg, uint64_t deadline_ns);

// The count at this moment.
uint32_t gr_waitgroup_count(const gr_waitgroup *wg);

#endif
