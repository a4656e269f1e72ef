// SPDX-License-Identifier: MIT
// One wait of a goroutine in one queue. It lies on the waiting goroutine's C
// stack, and is linked and unlinked under the lock of the object that has the
// queue.
#ifndef GR_WAITER_H
#define GR_WAITER_H

#include "base/list.h"
#include "base/lock.h"
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

// Makes it the running goroutine's wait, which has this ticket.
static inline void gr_waiter_init(gr_waiter *w, gr_goroutine *g,
                                  gr_ticket ticket, gr_message *message) {
  w->g = g;
  w->ticket = ticket;
  w->message = message;
  w->done = false;
}

// Queues the running goroutine's wait.
static inline void gr_waiter_push(gr_waiter *w, gr_list *queue, gr_goroutine *g,
                                  gr_ticket ticket, gr_message *message) {
  gr_waiter_init(w, g, ticket, message);
  gr_list_push(queue, &w->link);
}

// Tries to end the wait, whose waiter is out of its queue. The caller makes its
// goroutine runnable after it has let go of all locks.
static inline bool gr_waiter_claim(gr_waiter *w) {
  if (!gr_wait_claim(w->g, w->ticket, GR_CLAIM_OBJECT))
    return false;
  w->g->woken_by = w;
  return true;
}

// Takes the first waiter whose claim can be won. NULL when there is none.
static inline gr_waiter *gr_waiter_pop(gr_list *queue) {
  gr_link *link;
  while ((link = gr_list_pop(queue))) {
    gr_waiter *w = GR_CONTAINER(link, gr_waiter, link);
    if (gr_waiter_claim(w))
      return w;
  }
  return NULL;
}

// What to wait with: the lock is held, and is let go once the goroutine is off
// its stack. The object is for dumps.
typedef struct gr_waiting {
  gr_lock *lock;
  gr_list *queue;
  bool at_front;
  gr_wait_kind kind;
  const void *object;
  uint64_t deadline_ns;
} gr_waiting;

// Queues the running goroutine's wait, and parks. True if the object ended the
// wait; the lock is not held then. Else it is held again, the waiter is out of
// the queue, and gr_wait_status tells why.
bool gr_waiter_park(gr_waiter *self, const gr_waiting *waiting);

// Goroutines whose claims are won, in order.
typedef struct gr_woken {
  gr_goroutine *first, **end;
} gr_woken;

static inline void gr_woken_init(gr_woken *woken) {
  woken->first = NULL;
  woken->end = &woken->first;
}

static inline void gr_woken_add(gr_woken *woken, gr_goroutine *g) {
  g->next = NULL;
  *woken->end = g;
  woken->end = &g->next;
}

// Adds all waiters of the queue whose claims can be won, which is empty then.
void gr_woken_add_all(gr_woken *woken, gr_list *queue);

// Makes them runnable. Outside all locks.
void gr_woken_ready(gr_woken *woken);

#endif
