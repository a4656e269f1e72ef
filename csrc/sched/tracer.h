// SPDX-License-Identifier: MIT
// Who hears of each switch, for a timeline. Without one it costs a look at a
// pointer.
#ifndef GR_TRACER_H
#define GR_TRACER_H

#include "sched/worker.h"

typedef enum gr_leaving {
  GR_LEAVES_TO_WAIT,
  GR_LEAVES_TO_YIELD,
  GR_LEAVES_PREEMPTED,
  GR_LEAVES_TO_MOVE, // to another thread
  GR_LEAVES_AT_END,
} gr_leaving;

// Called on the worker's thread, the first two on the scheduler's stack,
// outside all locks.
typedef struct gr_tracer {
  void (*runs)(gr_worker *w, gr_goroutine *g); // from now on
  void (*leaves)(gr_worker *w, gr_goroutine *g, gr_leaving why);
  void (*wakes)(gr_worker *w, gr_goroutine *g); // the running one does
} gr_tracer;

// Why the goroutine that the worker has run is switched away from. Before its
// commit.
gr_leaving gr_why_it_leaves(const gr_worker *w, gr_goroutine *g);

// NULL: nobody. One that is taken away may still be called for a moment.
extern _Atomic(const gr_tracer *) gr_the_tracer;

// acquire: what the tracer needs has been set before it
static inline const gr_tracer *gr_tracer_now(void) {
  return atomic_load_explicit(&gr_the_tracer, memory_order_acquire);
}

#endif
