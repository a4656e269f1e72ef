// SPDX-License-Identifier: MIT
#include "sync/once.h"

#include "sched/sched.h"

static void fini(void *object) {
  gr_once *o = object;
  GR_ASSERT(gr_list_is_empty(&o->waiters));
  gr_block_release(o->outcome);
}

gr_once *gr_once_new(void) {
  gr_once *o = gr_object_new(sizeof *o, fini);
  if (!o)
    return NULL;
  gr_lock_init(&o->lock, GR_RANK_SYNC);
  gr_list_init(&o->waiters);
  return o;
}

gr_status gr_once_begin(gr_once *o) {
  gr_goroutine *g = gr_self();
  gr_waiter self;
  gr_waiting waiting = {.lock = &o->lock,
                        .queue = &o->waiters,
                        .kind = GR_WAIT_ONCE,
                        .object = o,
                        .deadline_ns = GR_NEVER};
  gr_status status = GR_CLOSED;
  gr_lock_lock(&o->lock);
  if (atomic_load_explicit(&o->state, memory_order_relaxed) == GR_ONCE_NEW) {
    atomic_store_explicit(&o->state, GR_ONCE_RUNS, memory_order_relaxed);
    atomic_store_explicit(&o->runner, g->id, memory_order_relaxed);
    status = GR_OK;
  } else if (atomic_load_explicit(&o->runner, memory_order_relaxed) == g->id) {
    status = GR_RECURSIVE;
  } else if (!gr_once_has_ended(o)) {
    if (gr_waiter_park(&self, &waiting))
      return GR_CLOSED;
    status = gr_wait_status(g);
  }
  gr_lock_unlock(&o->lock);
  return status;
}

void gr_once_end(gr_once *o, gr_block *outcome, bool failed) {
  gr_woken woken;
  gr_woken_init(&woken);
  if (outcome)
    gr_block_disown(outcome, o); // it may be among its own results
  gr_lock_lock(&o->lock);
  o->outcome = outcome;
  atomic_store_explicit(&o->runner, 0, memory_order_relaxed);
  atomic_store_explicit(&o->state, failed ? GR_ONCE_FAILED : GR_ONCE_DONE,
                        memory_order_release);
  gr_woken_add_all(&woken, &o->waiters);
  gr_lock_unlock(&o->lock);
  gr_woken_ready(&woken);
}
