// SPDX-License-Identifier: MIT
// Timers set, set anew and stopped by many goroutines while they run out. Each
// setting of one that runs once ends once: it has run, was stopped, or was set
// anew; and none is lost.
#include "stress.h"
#include "sync/timer.h"

enum { TIMERS = 32 };

typedef struct alarm_clock {
  gr_timer *timer;
  bool repeats;
  atomic_ulong sets, runs, ends; // ended: stopped, or set anew
} alarm_clock;

static alarm_clock clocks[TIMERS];

static gr_goroutine *run(gr_timer *timer, uint64_t now_ns) {
  alarm_clock *c = timer->arg;
  CHECK(now_ns <= gr_now_ns());
  atomic_fetch_add(&c->runs, 1);
  return NULL;
}

static void init(void) {
  for (int i = 0; i < TIMERS; i++) {
    alarm_clock *c = &clocks[i];
    c->timer = gr_timer_new(run, c, NULL);
    CHECK(c->timer);
    c->timer->keeps_itself = i % 2;
    c->repeats = i % 4 >= 2;
  }
}

static void set(alarm_clock *c, uint64_t when_ns, uint64_t period_ns) {
  bool was_armed;
  atomic_fetch_add(&c->sets, 1);
  CHECK(gr_timer_set(c->timer, when_ns, period_ns, &was_armed));
  atomic_fetch_add(&c->ends, was_armed);
}

static void turn(gr_random *r) {
  alarm_clock *c = &clocks[gr_random_below(r, TIMERS)];
  uint64_t now_ns = gr_now_ns();
  switch (gr_random_below(r, 4)) {
  case 0:
    atomic_fetch_add(&c->ends, gr_timer_stop(c->timer));
    break;
  case 1: // due already
    set(c, now_ns, c->repeats ? 1000 : 0);
    break;
  default:
    set(c, now_ns + gr_random_below(r, 60000),
        c->repeats ? 1 + gr_random_below(r, 50000) : 0);
  }
  maybe_yield(r);
}

static bool is_armed(gr_timer *timer) {
  gr_lock_lock(&timer->lock);
  bool armed = timer->armed;
  gr_lock_unlock(&timer->lock);
  return armed;
}

static void check(void) {
  unsigned long sets = 0, runs = 0;
  for (int i = 0; i < TIMERS; i++) {
    alarm_clock *c = &clocks[i];
    set(c, gr_now_ns(), 0); // once
    while (is_armed(c->timer))
      gr_yield();
    if (!c->repeats)
      CHECK(c->sets == c->runs + c->ends);
    sets += c->sets;
    runs += c->runs;
    CHECK(!gr_timer_stop(c->timer));
    gr_timer_release(c->timer);
  }
  while (gr_timer_count() > 0) // who has run the last has yet to let it go
    gr_yield();
  printf("timer: %lu set, %lu run: ", sets, runs);
}

int main(void) {
  return stress_main(400000, init, turn, check);
}
