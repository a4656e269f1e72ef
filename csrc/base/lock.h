// SPDX-License-Identifier: MIT
// A lock for critical sections of some hundred instructions: it spins for a
// short while and then sleeps. Unlike a pthread mutex it may be released from
// another stack of the same thread, and it takes four bytes.
//
// Lock order, outermost first (a lock may be taken while any of those before
// it is held, never the other way round):
//   search < task < cond < other sync objects < channel (several: by address),
//   descriptor < deadlines < scheduler < leaf locks
// The debug build checks it.
#ifndef GR_LOCK_H
#define GR_LOCK_H

#include "base/base.h"

typedef enum gr_lock_rank {
  GR_RANK_SEARCH = 1, // for leaked goroutines
  GR_RANK_TASK,
  GR_RANK_COND,      // a waiter lets its mutex go while it is held
  GR_RANK_SYNC,      // mutexes and the like
  GR_RANK_CHANNEL,   // several may be held, in address order
  GR_RANK_DEADLINES, // a processor's calendar of deadlines
  GR_RANK_SCHED,     // the scheduler's one lock
  GR_RANK_LEAF,      // nothing is locked while such a one is held
} gr_lock_rank;

typedef struct gr_lock {
  atomic_uint word; // 0 free, 1 held, 2 held and somebody sleeps
#ifdef GR_DEBUG
  gr_lock_rank rank;
#endif
} gr_lock;

#ifdef GR_DEBUG
#define GR_LOCK_STATIC(its_rank)                                               \
  { .word = 0, .rank = (its_rank) }
#else
#define GR_LOCK_STATIC(its_rank)                                               \
  { .word = 0 }
#endif

void gr_lock_init(gr_lock *lock, gr_lock_rank rank);

// Where the calling thread says that it sleeps for a lock, or NULL. For whoever
// asks the kernel whether it sleeps: that is no call that blocks it.
extern __thread atomic_bool *gr_lock_sleeps;

// The contended cases.
void gr_lock_slow(gr_lock *lock);
void gr_unlock_slow(gr_lock *lock);

#ifdef GR_DEBUG
// Check the order; keep the list of what this thread holds.
void gr_lock_check(gr_lock *lock);
void gr_unlock_check(gr_lock *lock);
#else
#define gr_lock_check(lock) ((void)0)
#define gr_unlock_check(lock) ((void)0)
#endif

// Acquire, pairs with the release in gr_unlock.
static inline void gr_lock_lock(gr_lock *lock) {
  gr_lock_check(lock);
  unsigned free = 0;
  if (GR_UNLIKELY(!atomic_compare_exchange_strong_explicit(
          &lock->word, &free, 1, memory_order_acquire, memory_order_relaxed)))
    gr_lock_slow(lock);
}

static inline void gr_lock_unlock(gr_lock *lock) {
  gr_unlock_check(lock);
  if (GR_UNLIKELY(
          atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2))
    gr_unlock_slow(lock);
}

#endif
