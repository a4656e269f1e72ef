// SPDX-License-Identifier: MIT
// A processor: the right to run Lua. It belongs to the worker that holds it;
// one that nobody holds is idle, on its way to a worker, or parked because
// there are fewer now.
#ifndef GR_PROCESSOR_H
#define GR_PROCESSOR_H

#include "base/base.h"
#include "base/random.h"
#include "sched/deadline.h"
#include "sched/loop.h"
#include "sched/poller.h"
#include "sched/runq.h"

typedef struct gr_worker gr_worker;
typedef struct gr_processor gr_processor;

struct gr_processor {
  uint32_t id; // constant

  gr_runq runq;
  gr_deadlines deadlines;

  // The holder's alone.
  gr_loop loop;      // under its own token
  gr_poller poller;  // its own rules
  atomic_uint turns; // goroutines taken; thieves look whether it moves
  gr_random random;
  // What goes into the next slot wakes nobody for so many times; see gr_ready.
  uint32_t quiet_turns;
  atomic_uint patience; // the next such number; thieves set it to 0

  // Guarded by the scheduler's lock.
  gr_worker *worker; // the holder, or NULL
  gr_processor *next_idle;
  bool is_idle;         // in the idle list
  bool in_flight;       // on its way to a worker
  bool woken_to_search; // taken from that list by a waker that counted its
                        // worker among those that search
};

// A processor, or NULL when out of memory.
gr_processor *gr_processor_new(uint32_t id, uint64_t seed);
void gr_processor_free(gr_processor *p);

#endif
