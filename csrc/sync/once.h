// SPDX-License-Identifier: MIT
// Something that is done once: the first to come does it, others wait for it,
// and all get what came of it.
#ifndef GR_ONCE_H
#define GR_ONCE_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

typedef enum gr_once_state {
  GR_ONCE_NEW,
  GR_ONCE_RUNS,
  GR_ONCE_DONE,   // `outcome` holds the results
  GR_ONCE_FAILED, // `outcome` holds the error
} gr_once_state;

typedef struct gr_once {
  gr_object object;
  atomic_uint state; // gr_once_state; release, acquire by who reads the outcome
  // Constant once it has ended. NULL: there was no memory for it.
  gr_block *outcome;
  _Atomic(uint64_t) runner; // the id of the goroutine that does it, or 0

  gr_lock lock;
  gr_list waiters; // guarded by lock
} gr_once;

// With one reference, or NULL when out of memory.
gr_once *gr_once_new(void);

// Whether it has ended: the outcome may be read.
static inline bool gr_once_has_ended(gr_once *o) {
  return atomic_load_explicit(&o->state, memory_order_acquire) >= GR_ONCE_DONE;
}

// GR_OK: the running goroutine is to do it, and then to call gr_once_end.
// GR_CLOSED: it has ended. GR_RECURSIVE: the running goroutine is doing it. Or
// what ended the wait. Inside the runtime.
gr_status gr_once_begin(gr_once *o);

// It has ended; takes over the outcome. Inside the runtime.
void gr_once_end(gr_once *o, gr_block *outcome, bool failed);

#endif
