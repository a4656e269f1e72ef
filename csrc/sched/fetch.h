// SPDX-License-Identifier: MIT
// Has the memory that a goroutine uses first come into the caches before it
// runs. Of many goroutines, each would wait for some forty lines, most of them
// found by a word in the one before.
#ifndef GR_FETCH_H
#define GR_FETCH_H

#include "base/fetch.h"
#include "sched/goroutine.h"

// The top of its stack, and below it what it calls next; and what its function
// uses of its state. It has been woken, and cannot run before the caller lets
// it.
static inline void gr_fetch(const gr_goroutine *g) {
  enum { STACK_BYTES = 512, DEEPER_BYTES = 192 };
  if (!g->current) // it has not begun
    return;
#ifndef GR_UCONTEXT
  uintptr_t top = (uintptr_t)g->context.sp;
  gr_fetch_bytes((const void *)(top - DEEPER_BYTES),
                 DEEPER_BYTES + STACK_BYTES);
#endif
  if (g->hot)
    gr_fetch_lines(g->memory, g->hot);
  else
    gr_fetch_bytes(g->current, GR_FETCH_STATE_BYTES);
}

// What waking a goroutine takes of itself. It need not be there any more.
static inline void gr_fetch_self(const gr_goroutine *g) {
  gr_fetch_bytes(g, 3 * GR_LINE_BYTES);
}

// What gr_fetch does for the first of a queue, and itself for the next: when
// that is the first it can be looked into at once.
static inline void gr_fetch_ahead(const gr_goroutine *first) {
  gr_fetch(first);
  if (first->next)
    gr_fetch_self(first->next);
}

#endif
