// SPDX-License-Identifier: MIT
#include "sync/semaphore.h"

#include "sched/sched.h"

enum { WAITERS = 1, SHIFT = 1 };

typedef struct semaphore_waiter {
  gr_waiter waiter;
  uint32_t units;
} semaphore_waiter;

static void fini(void *object) {
  gr_semaphore *s = object;
  GR_ASSERT(gr_list_is_empty(&s->waiters));
}

gr_semaphore *gr_semaphore_new(uint32_t size) {
  gr_semaphore *s = gr_object_new(sizeof *s, fini);
  if (!s)
    return NULL;
  s->size = size;
  atomic_init(&s->word, (uint64_t)size << SHIFT);
  gr_lock_init(&s->lock, GR_RANK_SYNC);
  gr_list_init(&s->waiters);
  return s;
}

static uint64_t load(const gr_semaphore *s) {
  return atomic_load_explicit(&s->word, memory_order_relaxed);
}

uint32_t gr_semaphore_free(const gr_semaphore *s) {
  return (uint32_t)(load(s) >> SHIFT);
}

static bool swap(gr_semaphore *s, uint64_t *word, uint64_t next) {
  return atomic_compare_exchange_weak_explicit(
      &s->word, word, next, memory_order_acq_rel, memory_order_relaxed);
}

static uint64_t as_word(uint32_t units) {
  return (uint64_t)units << SHIFT;
}

bool gr_semaphore_try(gr_semaphore *s, uint32_t units) {
  uint64_t word = load(s);
  while (!(word & WAITERS) && word >> SHIFT >= units)
    if (swap(s, &word, word - as_word(units)))
      return true;
  return false;
}

// Gives to the first ones in the queue what they want. Under the lock.
static void give_locked(gr_semaphore *s, gr_woken *woken) {
  gr_link *link;
  while ((link = gr_list_first(&s->waiters))) {
    semaphore_waiter *next = GR_CONTAINER(link, semaphore_waiter, waiter.link);
    if (gr_semaphore_free(s) < next->units)
      return;
    gr_list_remove(link);
    if (!gr_waiter_claim(&next->waiter))
      continue;
    atomic_fetch_sub_explicit(&s->word, as_word(next->units),
                              memory_order_acq_rel);
    gr_woken_add(woken, next->waiter.g);
  }
  atomic_fetch_and_explicit(&s->word, ~(uint64_t)WAITERS, memory_order_relaxed);
}

// Takes the units, or leaves word that somebody is queued; at once. Under the
// lock.
static bool take_or_mark_locked(gr_semaphore *s, uint32_t units) {
  uint64_t word = load(s), next;
  bool takes;
  do {
    takes = !(word & WAITERS) && word >> SHIFT >= units;
    next = takes ? word - as_word(units) : word | WAITERS;
  } while (!swap(s, &word, next));
  return takes;
}

gr_status gr_semaphore_acquire(gr_semaphore *s, uint32_t units,
                               uint64_t deadline_ns) {
  if (gr_semaphore_try(s, units))
    return GR_OK;
  if (deadline_ns == GR_POLL)
    return GR_TIMEOUT;
  semaphore_waiter self = {.units = units};
  gr_waiting waiting = {.lock = &s->lock,
                        .queue = &s->waiters,
                        .kind = GR_WAIT_SEMAPHORE,
                        .object = s,
                        .deadline_ns = deadline_ns};
  gr_lock_lock(&s->lock);
  if (take_or_mark_locked(s, units)) {
    gr_lock_unlock(&s->lock);
    return GR_OK;
  }
  if (gr_waiter_park(&self.waiter, &waiting))
    return GR_OK;
  gr_woken woken; // those behind it may want fewer
  gr_woken_init(&woken);
  give_locked(s, &woken);
  gr_lock_unlock(&s->lock);
  gr_woken_ready(&woken);
  return gr_wait_status(gr_self());
}

static bool may_release(const gr_semaphore *s, uint64_t word, uint32_t units) {
  return (word >> SHIFT) + units <= s->size;
}

bool gr_semaphore_release_quickly(gr_semaphore *s, uint32_t units) {
  uint64_t word = load(s);
  while (!(word & WAITERS) && may_release(s, word, units))
    if (swap(s, &word, word + as_word(units)))
      return true;
  return false;
}

bool gr_semaphore_release(gr_semaphore *s, uint32_t units) {
  if (gr_semaphore_release_quickly(s, units))
    return true;
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&s->lock);
  uint64_t word = load(s);
  bool valid;
  do
    valid = may_release(s, word, units);
  while (valid && !swap(s, &word, word + as_word(units)));
  if (valid)
    give_locked(s, &woken);
  gr_lock_unlock(&s->lock);
  gr_woken_ready(&woken);
  return valid;
}
