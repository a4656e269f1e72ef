// SPDX-License-Identifier: MIT
// Deadlines: things to be done at a point in time. Each processor has a
// calendar of them; a deadline stays in that in which it was set. Whoever finds
// it expired runs it: the processor's worker when it has nothing better to do,
// or the monitor while that computes.
#ifndef GR_DEADLINE_H
#define GR_DEADLINE_H

#include "base/base.h"
#include "base/calendar.h"
#include "base/lock.h"

typedef struct gr_goroutine gr_goroutine;
typedef struct gr_deadline gr_deadline;
typedef struct gr_deadlines gr_deadlines;

typedef struct gr_alarm_type {
  void (*hold)(gr_deadline *deadline);
  void (*fire)(gr_deadline *deadline, uint64_t now_ns);
} gr_alarm_type;

// A deadline is one of two kinds:
//   a wait's   `g` is set: the wait with this ticket times out
//   an alarm   `fire` is called, with no lock held. What it lives in must stay
//              until then: `hold` is called under the calendar's lock when it
//              is taken out, and may keep it alive; `fire` lets it go. It may
//              be set anew before it has been called, and fire twice then. It
//              is of the family of the goroutine that first sets it, and counts
//              as one of its sources until it is cleared or has been fired.
struct gr_deadline {
  gr_calendar_node node; // first; key is the time in ns
  gr_deadlines *home;    // constant while set
  gr_goroutine *g;
  union {
    uint32_t ticket;
    struct gr_family *family; // of an alarm
  };
  const gr_alarm_type *type; // of an alarm
};

struct gr_deadlines {
  gr_lock lock;
  gr_calendar calendar; // guarded by lock
  // The smallest time in it, or GR_NEVER. Written under the lock; read
  // by anybody. seq_cst, pairs with the monitor's wake_at.
  _Atomic(uint64_t) earliest_ns;
};

void gr_deadlines_init(gr_deadlines *deadlines);
void gr_deadlines_fini(gr_deadlines *deadlines);

// Puts a deadline that is not set into the calendar. False when out of memory,
// or for an alarm of a family that is over.
bool gr_deadline_set(gr_deadlines *home, gr_deadline *deadline,
                     uint64_t when_ns);

// Takes it out. False if it was not set (any more): then it has fired, or is
// about to. After it, a wait's deadline is touched by nobody.
bool gr_deadline_clear(gr_deadline *deadline);

// Runs all that have expired at `now_ns`. Goroutines whose wait timed out are
// made runnable by `ready`, many at a time: a list by `next`, the last first.
// Returns how many deadlines there were.
unsigned gr_deadlines_fire(gr_deadlines *deadlines, uint64_t now_ns,
                           void (*ready)(gr_goroutine *list));

// Fires all alarms of the family, as if their time had come.
void gr_deadlines_fire_family(gr_deadlines *deadlines,
                              struct gr_family *family);

static inline uint64_t gr_deadlines_earliest(gr_deadlines *deadlines) {
  return atomic_load_explicit(&deadlines->earliest_ns, memory_order_relaxed);
}

#endif
