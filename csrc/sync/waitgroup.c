// SPDX-License-Identifier: MIT
#include "sync/waitgroup.h"

#include "sched/sched.h"

enum { WAITERS = 1, SHIFT = 1 };

static void fini(void *object) {
  gr_waitgroup *wg = object;
  GR_ASSERT(gr_list_is_empty(&wg->waiters));
}

gr_waitgroup *gr_waitgroup_new(uint32_t count) {
  gr_waitgroup *wg = gr_object_new(sizeof *wg, fini);
  if (!wg)
    return NULL;
  atomic_init(&wg->word, (uint64_t)count << SHIFT);
  gr_lock_init(&wg->lock, GR_RANK_SYNC);
  gr_list_init(&wg->waiters);
  return wg;
}

uint32_t gr_waitgroup_count(const gr_waitgroup *wg) {
  return (uint32_t)(atomic_load_explicit(&wg->word, memory_order_acquire) >>
                    SHIFT);
}

static bool is_valid(int64_t count) {
  return count >= 0 && count <= GR_WAITGROUP_MAX;
}

static bool swap(gr_waitgroup *wg, uint64_t *word, uint64_t next) {
  return atomic_compare_exchange_weak_explicit(
      &wg->word, word, next, memory_order_acq_rel, memory_order_relaxed);
}

bool gr_waitgroup_add_quickly(gr_waitgroup *wg, int64_t change) {
  uint64_t word = atomic_load_explicit(&wg->word, memory_order_relaxed);
  for (;;) {
    int64_t count = (int64_t)(word >> SHIFT) + change;
    if (!is_valid(count) || (count == 0 && (word & WAITERS)))
      return false;
    if (swap(wg, &word, (uint64_t)count << SHIFT | (word & WAITERS)))
      return true;
  }
}

bool gr_waitgroup_add(gr_waitgroup *wg, int64_t change) {
  if (gr_waitgroup_add_quickly(wg, change))
    return true;
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&wg->lock); // the count comes to zero, or cannot be
  uint64_t word = atomic_load_explicit(&wg->word, memory_order_relaxed), next;
  bool valid;
  do {
    int64_t count = (int64_t)(word >> SHIFT) + change;
    valid = is_valid(count);
    next = (uint64_t)count << SHIFT;
    if (count > 0)
      next |= word & WAITERS;
  } while (valid && !swap(wg, &word, next));
  if (valid && next == 0)
    gr_woken_add_all(&woken, &wg->waiters);
  gr_lock_unlock(&wg->lock);
  gr_woken_ready(&woken);
  return valid;
}

// False if the count is zero. Under the lock.
static bool mark_locked(gr_waitgroup *wg) {
  uint64_t word = atomic_load_explicit(&wg->word, memory_order_acquire);
  while (word >> SHIFT > 0)
    if (swap(wg, &word, word | WAITERS))
      return true;
  return false;
}

gr_status gr_waitgroup_wait(gr_waitgroup *wg, uint64_t deadline_ns) {
  if (gr_waitgroup_count(wg) == 0)
    return GR_OK;
  if (deadline_ns == GR_POLL)
    return GR_TIMEOUT;
  gr_waiter self;
  gr_waiting waiting = {.lock = &wg->lock,
                        .queue = &wg->waiters,
                        .kind = GR_WAIT_GROUP,
                        .object = wg,
                        .deadline_ns = deadline_ns};
  gr_lock_lock(&wg->lock);
  if (!mark_locked(wg)) {
    gr_lock_unlock(&wg->lock);
    return GR_OK;
  }
  if (gr_waiter_park(&self, &waiting))
    return GR_OK;
  if (gr_list_is_empty(&wg->waiters))
    atomic_fetch_and_explicit(&wg->word, ~(uint64_t)WAITERS,
                              memory_order_relaxed);
  gr_lock_unlock(&wg->lock);
  return gr_wait_status(gr_self());
}
