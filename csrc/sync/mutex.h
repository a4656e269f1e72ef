// SPDX-License-Identifier: MIT
// Mutexes. One that is free is taken by whoever comes first, also before a
// waiter that has just been woken: that is quicker than to have every holder
// wait for a switch. But a waiter that has waited for a millisecond gets it
// from the hands of the holder, so that nobody starves (after Go's mutex.go).
//
// The word is the holder's id, shifted, with two flags:
//   WAITERS  somebody is queued
//   WOKEN    somebody has been taken from the queue in order to try again
//
// Invariants:
//   the flags change only under the lock
//   who is in the word is changed by nobody but the holder, if there is one
//   if the mutex is free, nobody is queued, or WOKEN is set
// Hence a holder that sees waiters and no WOKEN sees to the next one, under the
// lock; one that sees WOKEN need not, for that one takes the mutex when it
// runs, or clears WOKEN while there is a holder.
#ifndef GR_MUTEX_H
#define GR_MUTEX_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

typedef struct gr_mutex {
  gr_object object;
  // acquire by who takes it, pairs with the release by who lets it go
  _Atomic(uint64_t) word;

  gr_lock lock;
  gr_list waiters; // guarded by lock; of struct mutex_waiter
} gr_mutex;

enum { GR_MUTEX_WAITERS = 1, GR_MUTEX_WOKEN = 2, GR_MUTEX_SHIFT = 2 };

// With one reference, or NULL when out of memory.
gr_mutex *gr_mutex_new(void);

// Takes it if nobody has it and nobody waits: one compare-and-swap. The running
// goroutine, inside the runtime or not.
static inline bool gr_mutex_take_quickly(gr_mutex *m, gr_goroutine *g) {
  uint64_t free = 0;
  if (!atomic_compare_exchange_strong_explicit(
          &m->word, &free, g->id << GR_MUTEX_SHIFT, memory_order_acquire,
          memory_order_relaxed))
    return false;
  g->held++;
  return true;
}

// The reverse.
static inline bool gr_mutex_drop_quickly(gr_mutex *m, gr_goroutine *g) {
  uint64_t mine = g->id << GR_MUTEX_SHIFT;
  if (!atomic_compare_exchange_strong_explicit(
          &m->word, &mine, 0, memory_order_release, memory_order_relaxed))
    return false;
  g->held--;
  return true;
}

// Takes it if nobody has it. As above.
bool gr_mutex_try(gr_mutex *m, gr_goroutine *g);

// GR_OK: the running goroutine has it. Inside the runtime.
gr_status gr_mutex_lock(gr_mutex *m, uint64_t deadline_ns);

// False if the running goroutine does not hold it. Inside the runtime.
bool gr_mutex_unlock(gr_mutex *m);

// The same; *woken is to be made runnable outside all locks, if not NULL.
bool gr_mutex_drop(gr_mutex *m, gr_goroutine *g, gr_goroutine **woken);

// The id of who holds it at this moment, or 0.
static inline uint64_t gr_mutex_holder(const gr_mutex *m) {
  return atomic_load_explicit(&m->word, memory_order_relaxed) >> GR_MUTEX_SHIFT;
}

#endif
