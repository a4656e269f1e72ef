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

// The top of its stack, the head of its state, and what its function has there.
// It has been woken, and cannot run before the caller lets it.
static inline void gr_fetch(const gr_goroutine *g) {
  enum { STACK_BYTES = 512, STATE_BYTES = 256, HOT_BYTES = 2304 };
  if (!g->current) // it has not begun
    return;
#ifndef GR_UCONTEXT
  gr_fetch_bytes(g->context.sp, STACK_BYTES);
#endif
  gr_fetch_bytes(g->current, STATE_BYTES);
  if (g->hot)
    gr_fetch_bytes(g->hot, HOT_BYTES);
}

// What waking a goroutine takes of itself, given the deadline of its wait.
static inline void gr_fetch_wait(const gr_deadline *d) {
  gr_fetch_bytes(GR_CONTAINER(d, gr_goroutine, deadline), 192);
}

// The same for the first of a queue, and itself for the next: when that is the
// first it can be looked into at once.
static inline void gr_fetch_ahead(const gr_goroutine *first) {
  gr_fetch(first);
  if (first->next)
    gr_fetch_bytes(first->next, sizeof *first->next);
}

#endif
