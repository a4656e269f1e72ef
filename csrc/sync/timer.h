// SPDX-License-Identifier: MIT
// Timers: something done at a point in time, once or again and again, that can
// be stopped and set anew. What is done runs on a scheduler stack or in the
// monitor, and must not wait.
#ifndef GR_TIMER_H
#define GR_TIMER_H

#include "base/base.h"
#include "base/lock.h"
#include "base/refs.h"
#include "sched/deadline.h"
#include "sync/channel.h"

typedef struct gr_timer gr_timer;

struct gr_timer {
  gr_refs refs;

  gr_lock lock; // Taken before a channel's.

  // Guarded by lock. An alarm that has been taken out of the calendar but not
  // yet run when the timer is stopped or set anew is told by `armed`, or by a
  // time that has not come.
  bool armed;
  bool keeps_itself; // constant: has a reference to itself while armed
  uint64_t when_ns;
  uint64_t period_ns; // 0: once
  // Called with the lock held; the goroutine it returns is made runnable.
  gr_goroutine *(*run)(gr_timer *timer, uint64_t now_ns);
  void *arg;
  void (*free_arg)(void *arg); // when the timer is freed; may be NULL

  gr_deadline alarm;
};

// A timer that is not set, with one reference; NULL when out of memory.
gr_timer *gr_timer_new(gr_goroutine *(*run)(gr_timer *, uint64_t), void *arg,
                       void (*free_arg)(void *));
void gr_timer_retain(gr_timer *timer);
void gr_timer_release(gr_timer *timer);
unsigned gr_timer_count(void);

// Sets it, anew if it was set; *was_armed tells. False when out of memory.
// Running goroutine, inside the runtime.
bool gr_timer_set(gr_timer *timer, uint64_t when_ns, uint64_t period_ns,
                  bool *was_armed);

// Stops it. True if it was set and will not run any more. Any thread.
bool gr_timer_stop(gr_timer *timer);

// A channel of capacity 1 that gets the time once. NULL when out of memory.
gr_channel *gr_after_new(uint64_t when_ns);

// A ticker: a channel that gets the time again and again.
typedef struct gr_ticker {
  gr_refs refs;
  gr_channel *channel;
  gr_timer *timer;
} gr_ticker;

gr_ticker *gr_ticker_new(uint64_t period_ns);
void gr_ticker_retain(gr_ticker *ticker);
void gr_ticker_release(gr_ticker *ticker);
// No tick comes any more, nor one that was due.
void gr_ticker_stop(gr_ticker *ticker);
// Sets it anew. False when out of memory.
bool gr_ticker_reset(gr_ticker *ticker, uint64_t period_ns);

// The time as messages carry it: seconds as a float.
static inline double gr_seconds(uint64_t ns) {
  return (double)ns * 1e-9;
}

#endif
