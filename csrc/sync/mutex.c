// SPDX-License-Identifier: MIT
#include "sync/mutex.h"

#include "sched/sched.h"

enum { STARVING_NS = 1000000 };

typedef struct mutex_waiter {
  gr_waiter waiter; // done: the mutex was handed over
  uint64_t since_ns;
} mutex_waiter;

static void fini(void *object) {
  gr_mutex *m = object;
  GR_ASSERT(gr_list_is_empty(&m->waiters));
}

gr_mutex *gr_mutex_new(void) {
  gr_mutex *m = gr_object_new(sizeof *m, fini);
  if (!m)
    return NULL;
  gr_lock_init(&m->lock, GR_RANK_SYNC);
  gr_list_init(&m->waiters);
  return m;
}

bool gr_mutex_try(gr_mutex *m, gr_goroutine *g) {
  uint64_t word = atomic_load_explicit(&m->word, memory_order_relaxed);
  while (word >> GR_MUTEX_SHIFT == 0)
    if (atomic_compare_exchange_weak_explicit(
            &m->word, &word, word | g->id << GR_MUTEX_SHIFT,
            memory_order_acquire, memory_order_relaxed)) {
      g->held++;
      return true;
    }
  return false;
}

// --- waiting ---

// Takes it, or leaves word that somebody is queued; at once. Gives up WOKEN if
// the caller is the one that was. Under the lock.
static bool take_or_mark_locked(gr_mutex *m, gr_goroutine *g, bool was_woken) {
  uint64_t word = atomic_load_explicit(&m->word, memory_order_relaxed), next;
  do {
    next = was_woken ? word & ~(uint64_t)GR_MUTEX_WOKEN : word;
    next |= word >> GR_MUTEX_SHIFT == 0 ? g->id << GR_MUTEX_SHIFT
                                        : (uint64_t)GR_MUTEX_WAITERS;
  } while (!atomic_compare_exchange_weak_explicit(
      &m->word, &word, next, memory_order_acquire, memory_order_relaxed));
  return word >> GR_MUTEX_SHIFT == 0;
}

static gr_status wait_for(gr_mutex *m, gr_goroutine *g, uint64_t deadline_ns) {
  mutex_waiter self = {.since_ns = gr_now_ns()};
  gr_waiting waiting = {.lock = &m->lock,
                        .queue = &m->waiters,
                        .kind = GR_WAIT_MUTEX,
                        .object = m,
                        .deadline_ns = deadline_ns};
  gr_lock_lock(&m->lock);
  while (!take_or_mark_locked(m, g, waiting.at_front)) {
    if (!gr_waiter_park(&self.waiter, &waiting)) {
      if (gr_list_is_empty(&m->waiters))
        atomic_fetch_and_explicit(&m->word, ~(uint64_t)GR_MUTEX_WAITERS,
                                  memory_order_relaxed);
      gr_lock_unlock(&m->lock);
      return gr_wait_status(g);
    }
    if (self.waiter.done) {
      g->held++;
      return GR_OK;
    }
    waiting.at_front = true; // the next time: it has come before all others
    gr_lock_lock(&m->lock);
  }
  gr_lock_unlock(&m->lock);
  g->held++;
  return GR_OK;
}

gr_status gr_mutex_lock(gr_mutex *m, uint64_t deadline_ns) {
  gr_goroutine *g = gr_self();
  if (gr_mutex_try(m, g))
    return GR_OK;
  return deadline_ns == GR_POLL ? GR_TIMEOUT : wait_for(m, g, deadline_ns);
}

// --- letting go ---

// There are waiters, and none of them is awake. While the caller holds both
// the mutex and the lock, nobody else writes the word.
static gr_goroutine *pass_on(gr_mutex *m) {
  gr_lock_lock(&m->lock);
  gr_waiter *next = gr_waiter_pop(&m->waiters);
  uint64_t word = gr_list_is_empty(&m->waiters) ? 0 : GR_MUTEX_WAITERS;
  if (next) {
    mutex_waiter *w = GR_CONTAINER(next, mutex_waiter, waiter);
    next->done = gr_now_ns() - w->since_ns >= STARVING_NS;
    word |=
        next->done ? next->g->id << GR_MUTEX_SHIFT : (uint64_t)GR_MUTEX_WOKEN;
  }
  atomic_store_explicit(&m->word, word, memory_order_release);
  gr_lock_unlock(&m->lock);
  return next ? next->g : NULL;
}

bool gr_mutex_drop(gr_mutex *m, gr_goroutine *g, gr_goroutine **woken) {
  uint64_t word = atomic_load_explicit(&m->word, memory_order_relaxed);
  *woken = NULL;
  do {
    if (word >> GR_MUTEX_SHIFT != g->id)
      return false;
    if ((word & GR_MUTEX_WAITERS) && !(word & GR_MUTEX_WOKEN)) {
      *woken = pass_on(m);
      break;
    }
  } while (!atomic_compare_exchange_weak_explicit(
      &m->word, &word, word & (GR_MUTEX_WAITERS | GR_MUTEX_WOKEN),
      memory_order_release, memory_order_relaxed));
  g->held--;
  return true;
}

bool gr_mutex_unlock(gr_mutex *m) {
  gr_goroutine *woken;
  bool done = gr_mutex_drop(m, gr_self(), &woken);
  if (woken)
    gr_ready(woken);
  return done;
}
