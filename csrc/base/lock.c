// SPDX-License-Identifier: MIT
// The contended half of gr_lock: spin for about a microsecond, then sleep in
// the kernel. Whoever has slept takes the lock as "somebody sleeps", for it
// cannot know whether it was the last one; the price is one needless wake.
#include "base/lock.h"

#include <stdlib.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <sched.h>
#endif
#ifdef GR_ASAN
#include <sanitizer/lsan_interface.h>
#endif

enum { SPINS = 60 };

__thread atomic_bool *gr_lock_sleeps;

void gr_lock_init(gr_lock *lock, gr_lock_rank rank) {
  atomic_init(&lock->word, 0);
#ifdef GR_DEBUG
  lock->rank = rank;
#else
  (void)rank;
#endif
}

#ifdef __linux__
static void sleep_on(gr_lock *lock) {
  syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

static void wake_one(gr_lock *lock) {
  syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
#else
static void sleep_on(gr_lock *lock) {
  (void)lock;
  sched_yield();
}

static void wake_one(gr_lock *lock) {
  (void)lock;
}
#endif

void gr_lock_slow(gr_lock *lock) {
  for (int i = 0; i < SPINS; i++) {
    unsigned seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    if (seen == 0 &&
        atomic_compare_exchange_weak_explicit(
            &lock->word, &seen, 1, memory_order_acquire, memory_order_relaxed))
      return;
    if (seen == 2)
      break;
    gr_cpu_relax();
  }
  if (gr_lock_sleeps)
    atomic_store(gr_lock_sleeps, true);
  while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
    sleep_on(lock);
  if (gr_lock_sleeps)
    atomic_store(gr_lock_sleeps, false);
}

void gr_unlock_slow(gr_lock *lock) {
  wake_one(lock);
}

#ifdef GR_DEBUG
// Locks are held over a switch of stacks but never over a change of thread, so
// the list may belong to the thread.
enum { HELD_MAX = 4096 };
static __thread gr_lock **held; // small thread-local storage: never freed
static __thread int held_count;

void gr_lock_check(gr_lock *lock) {
  if (!held)
    held = malloc(HELD_MAX * sizeof *held);
  GR_ASSERT(held);
#ifdef GR_ASAN
  __lsan_ignore_object(held);
#endif
  for (int i = 0; i < held_count; i++) {
    GR_ASSERT(held[i] != lock);
    GR_ASSERT(held[i]->rank < lock->rank ||
              (held[i]->rank == GR_RANK_CHANNEL &&
               lock->rank == GR_RANK_CHANNEL && held[i] < lock));
  }
  GR_ASSERT(held_count < HELD_MAX);
  held[held_count++] = lock;
}

void gr_unlock_check(gr_lock *lock) {
  for (int i = held_count - 1; i >= 0; i--) {
    if (held[i] != lock)
      continue;
    held[i] = held[--held_count];
    return;
  }
  GR_ASSERT(!"unlocked by a thread that does not hold it");
}
#endif
