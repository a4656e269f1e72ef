// SPDX-License-Identifier: MIT
// Condition variables: a queue of goroutines that have let a mutex go in order
// to wait until another one tells them to look again. First come, first served:
// a signal is for somebody who waits already.
//
// The mutex is let go while the queue's lock is held, so that whoever takes the
// mutex from then on, and signals, finds the waiter in the queue.
#ifndef GR_COND_H
#define GR_COND_H

#include "base/lock.h"
#include "sync/mutex.h"

typedef struct gr_cond {
  gr_object object;
  gr_mutex *mutex; // holds a reference

  gr_lock lock;
  gr_list waiters; // guarded by lock
} gr_cond;

// With one reference; takes one of the mutex. NULL when out of memory.
gr_cond *gr_cond_new(gr_mutex *mutex);

// Lets the mutex go, which the running goroutine holds, waits for a signal, and
// takes the mutex again, however long that takes. GR_OK, GR_TIMEOUT, or what
// ended the wait: the mutex is held again. But GR_DEADLOCK and GR_STOPPED may
// have ended the wait for the mutex; then it is not. Inside the runtime.
gr_status gr_cond_wait(gr_cond *c, uint64_t deadline_ns);

// Wakes the one that has waited longest; all. Inside the runtime.
void gr_cond_signal(gr_cond *c);
void gr_cond_broadcast(gr_cond *c);

#endif
