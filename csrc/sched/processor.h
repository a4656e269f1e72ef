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

// Somebody is woken for what goes into a next slot only now and then, the more
// seldom the more often that was in vain; see wake_for_next.
typedef struct gr_patience {
  uint32_t quiet_turns; // for which nobody is woken; the holder's alone
  // The next such number. Thieves and the monitor set it to 0: prompt again.
  atomic_uint patience;
} gr_patience;

enum {
  GR_QUICK_TURN_NS = 30000,  // turns are quick if they take no longer
  GR_LONG_TURN_NS = 1000000, // what turn_ns is at most, and at first
};

struct gr_processor {
  uint32_t id; // constant

  gr_runq runq;
  gr_deadlines deadlines;

  // The holder's alone.
  gr_loop loop;        // under its own token
  gr_poller poller;    // its own rules
  atomic_uint turns;   // goroutines taken; thieves look whether it moves
  uint32_t went_ahead; // how many slices have begun ahead of the ring,
  uint64_t ring_at_ns; // since something was taken from that; coarse
  bool displaced_first, ring_goes; // whose turn was the last
  uint64_t owes_until_ns; // until then, to those for whom somebody made way
  uint32_t owed; // to those in the global queue, in turns of their number
  uint64_t slept_at_ns; // when it last woke up, and its turns until then
  unsigned slept_turns;
  uint64_t turn_ns;    // what turns took between its last sleeps
  unsigned fired;      // deadlines, since it last slept
  uint64_t company_ns; // for so long it lets one wait for others; see idle.c
  // By so many powers of two shorter it searches, for it has been in vain.
  unsigned searches_less;
  gr_random random;
  // For what goes into the next slot: after a wait, and new.
  gr_patience ready_patience, start_patience;

  // When the holder last looked for deadlines that have expired; the monitor
  // sees to the next ones only some time later, see gr_monitor_due.
  _Atomic(uint64_t) looked_at_ns;
  unsigned fired_turns; // by then the monitor has fired them last; its alone

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
