// SPDX-License-Identifier: MIT
// One wait of a goroutine in one queue. It lies on the waiting goroutine's C
// stack, and is linked and unlinked under the lock of the object that has the
// queue.
#ifndef GR_WAITER_H
#define GR_WAITER_H

#include "base/list.h"
#include "sched/goroutine.h"
#include "sched/worker.h"
#include "value/message.h"

typedef struct gr_waiter {
  gr_link link;
  gr_goroutine *g;
  gr_ticket ticket;
  gr_message *message; // of a sender: to take; of a receiver: to fill
  bool done;           // set by the winner: exchanged, not just woken by close
} gr_waiter;

// Queues the running goroutine's wait.
static inline void gr_waiter_push(gr_waiter *w, gr_list *queue, gr_goroutine *g,
                                  gr_ticket ticket, gr_message *message) {
  w->g = g;
  w->ticket = ticket;
  w->message = message;
  w->done = false;
  gr_list_push(queue, &w->link);
}

// Takes the first waiter whose claim can be won; the caller makes its goroutine
// runnable after it has let go of all locks. NULL when there is none.
static inline gr_waiter *gr_waiter_pop(gr_list *queue) {
  gr_link *link;
  while ((link = gr_list_pop(queue))) {
    gr_waiter *w = GR_CONTAINER(link, gr_waiter, link);
    if (gr_wait_claim(w->g, w->ticket, GR_CLAIM_OBJECT)) {
      w->g->woken_by = w;
      return w;
    }
  }
  return NULL;
}

#endif
