// SPDX-License-Identifier: MIT
// Has the memory that a goroutine uses first come into the caches before it
// runs. Of many goroutines, each would wait for some forty lines, most of them
// found by a word in the one before.
#ifndef GR_FETCH_H
#define GR_FETCH_H

#include "sched/goroutine.h"

static inline void gr_fetch_bytes(const void *from, unsigned bytes) {
  enum { LINE = 64 };
  for (unsigned at = 0; at < bytes; at += LINE)
    __builtin_prefetch((const void *)((uintptr_t)from + at));
}

// Addresses only: what is there may be gone by the time that they are fetched.
typedef struct gr_needs {
  const void *stack, *state, *hot, *next;
} gr_needs;

// The top of its stack, the head of its state, what its function has there, and
// the one behind it in its queue, that it can be looked into when its turn
// comes. It has been woken, and cannot run before the caller lets it.
static inline gr_needs gr_needs_of(const gr_goroutine *g) {
  gr_needs needs = {.state = g->current, .hot = g->hot, .next = g->next};
#ifndef GR_UCONTEXT
  needs.stack = g->context.sp;
#endif
  return needs;
}

static inline void gr_fetch(gr_needs needs) {
  enum { STACK_BYTES = 512, STATE_BYTES = 256, HOT_BYTES = 2304 };
  if (needs.next)
    gr_fetch_bytes(needs.next, sizeof(gr_goroutine));
  if (!needs.state) // it has not begun
    return;
  if (needs.stack)
    gr_fetch_bytes(needs.stack, STACK_BYTES);
  gr_fetch_bytes(needs.state, STATE_BYTES);
  if (needs.hot)
    gr_fetch_bytes(needs.hot, HOT_BYTES);
}

#endif
