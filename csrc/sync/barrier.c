// SPDX-License-Identifier: MIT
#include "sync/barrier.h"

#include "sched/sched.h"

static void fini(void *object) {
  gr_barrier *b = object;
  GR_ASSERT(gr_list_is_empty(&b->waiters));
}

gr_barrier *gr_barrier_new(uint32_t size) {
  gr_barrier *b = gr_object_new(sizeof *b, fini);
  if (!b)
    return NULL;
  b->size = size;
  gr_lock_init(&b->lock, GR_RANK_SYNC);
  gr_list_init(&b->waiters);
  return b;
}

uint32_t gr_barrier_count(const gr_barrier *b) {
  return atomic_load_explicit(&b->count, memory_order_relaxed);
}

static void set_count_locked(gr_barrier *b, uint32_t count) {
  atomic_store_explicit(&b->count, count, memory_order_relaxed);
}

// Everybody is there. Those whose wait somebody else has just ended find `done`
// when they get the lock.
static void open_locked(gr_barrier *b, gr_woken *woken) {
  gr_link *link;
  while ((link = gr_list_pop(&b->waiters))) {
    gr_waiter *w = GR_CONTAINER(link, gr_waiter, link);
    w->done = true;
    if (gr_waiter_claim(w))
      gr_woken_add(woken, w->g);
  }
  set_count_locked(b, 0);
}

gr_status gr_barrier_wait(gr_barrier *b, uint64_t deadline_ns) {
  gr_waiter self;
  gr_waiting waiting = {.lock = &b->lock,
                        .queue = &b->waiters,
                        .kind = GR_WAIT_BARRIER,
                        .object = b,
                        .deadline_ns = deadline_ns};
  gr_lock_lock(&b->lock);
  uint32_t count = gr_barrier_count(b);
  if (count + 1 == b->size) {
    gr_woken woken;
    gr_woken_init(&woken);
    open_locked(b, &woken);
    gr_lock_unlock(&b->lock);
    gr_woken_ready(&woken);
    return GR_OK;
  }
  if (deadline_ns == GR_POLL) {
    gr_lock_unlock(&b->lock);
    return GR_TIMEOUT;
  }
  set_count_locked(b, count + 1);
  if (gr_waiter_park(&self, &waiting))
    return GR_OK;
  bool done = self.done;
  if (!done)
    set_count_locked(b, gr_barrier_count(b) - 1);
  gr_lock_unlock(&b->lock);
  return done ? GR_OK : gr_wait_status(gr_self());
}
