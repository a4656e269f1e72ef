// SPDX-License-Identifier: MIT
// What the files of the monitor share: monitor.c has the thread, deadlines and
// events; look.c what it does about workers.
#ifndef GR_ROUND_H
#define GR_ROUND_H

#include "base/base.h"
#include "sched/processor.h"

// What one round finds out.
typedef struct gr_round {
  uint64_t now_ns, slice_ns;
  uint64_t next_ns; // when to look again
  bool is_calm;     // probably nobody computes
  unsigned woken;   // goroutines for which no hog has made way yet
  bool any_busy;
  bool bound_waits;      // for a goroutine that was not sent a signal yet
  bool bound_is_kept;    // by one that has not switched since the last look
  bool advances;         // some worker has begun a slice, or had no CPU to
  bool awaits_events;    // of a processor whose worker may begin to compute
  bool wants_help;       // an idle processor is to be woken
  gr_processor *retaken; // list by next_idle
} gr_round;

static inline void gr_sooner(gr_round *r, uint64_t when_ns) {
  if (when_ns < r->next_ns)
    r->next_ns = when_ns;
}

// When to do what is not urgent while nobody computes: several such things at
// once, for a round takes 50 us of CPU where threads sleep and wake slowly.
static inline uint64_t gr_not_alone(const gr_round *r, uint64_t when_ns) {
  enum { TOGETHER_NS = 1000000 };
  return r->is_calm ? (when_ns + TOGETHER_NS - 1) / TOGETHER_NS * TOGETHER_NS
                    : when_ns;
}

// CPU time that the worker's thread has used; 0 if nobody knows. The
// scheduler's lock is held, so that it is there.
uint64_t gr_cpu_of(gr_worker *w);

// Ends what is to be ended: slices, calls that keep a processor, what is over
// its limit. Wakes nobody yet.
void gr_look_at_workers(gr_round *r);

// Ends threads that have had no work for long.
void gr_retire_threads(gr_round *r);

#endif
