// SPDX-License-Identifier: MIT
#include "sync/waiter.h"

#include "sched/sched.h"

static void commit_unlock(gr_goroutine *g, void *arg) {
  (void)g;
  gr_lock_unlock(arg);
}

bool gr_waiter_park(gr_waiter *self, const gr_waiting *waiting) {
  gr_goroutine *g = gr_self();
  gr_waiter_init(self, g, gr_wait_open(g), NULL);
  if (waiting->at_front)
    gr_list_push_front(waiting->queue, &self->link);
  else
    gr_list_push(waiting->queue, &self->link);
  gr_park(waiting->kind, waiting->object, waiting->deadline_ns, commit_unlock,
          waiting->lock);
  if (gr_wait_reason(g) == GR_CLAIM_OBJECT)
    return true;
  gr_lock_lock(waiting->lock);
  gr_list_remove(&self->link);
  return false;
}

void gr_woken_add_all(gr_woken *woken, gr_list *queue) {
  gr_waiter *w;
  while ((w = gr_waiter_pop(queue))) {
    w->done = true;
    gr_woken_add(woken, w->g);
  }
}

void gr_woken_ready(gr_woken *woken) {
  for (gr_goroutine *g = woken->first, *next; g; g = next) {
    next = g->next; // ours until it is runnable
    gr_ready(g);
  }
}
