// SPDX-License-Identifier: MIT
// A timer's life. The references are those of its users, and one of an alarm
// that has been taken out of the calendar and is about to run (`hold`). A timer
// whose last user goes is stopped first, so that nothing else keeps it; one
// that is to run although nobody holds it keeps a reference to itself while it
// is armed.
#include "sync/timer.h"

#include <stdlib.h>

#include "sched/monitor.h"
#include "sched/sched.h"

static atomic_uint timer_count;

unsigned gr_timer_count(void) {
  return atomic_load(&timer_count);
}

static gr_timer *timer_of(gr_deadline *alarm) {
  return GR_CONTAINER(alarm, gr_timer, alarm);
}

// Under the calendar's lock; the timer is alive, or it would not be in there.
static void hold(gr_deadline *alarm) {
  gr_timer_retain(timer_of(alarm));
}

static uint64_t next_time(const gr_timer *t, uint64_t now_ns) {
  uint64_t late = now_ns - t->when_ns;
  uint64_t steps = 1 + late / t->period_ns; // missed ones collapse
  return t->when_ns + steps * t->period_ns;
}

static void fire(gr_deadline *alarm, uint64_t now_ns) {
  gr_timer *t = timer_of(alarm);
  gr_goroutine *woken = NULL;
  int drops = 1; // what `hold` took
  gr_lock_lock(&t->lock);
  if (t->armed && t->when_ns <= now_ns) {
    gr_deadline_clear(&t->alarm); // set anew meanwhile, and due again
    t->armed = t->period_ns != 0;
    if (t->armed) {
      t->when_ns = next_time(t, now_ns);
      // The calendar had room for it a moment ago.
      t->armed = gr_deadline_set(t->alarm.home, &t->alarm, t->when_ns);
    }
    if (!t->armed)
      drops += t->keeps_itself;
    woken = t->run(t, now_ns);
  }
  gr_lock_unlock(&t->lock);
  if (woken)
    gr_ready_woken(woken);
  while (drops-- > 0)
    gr_timer_release(t);
}

static const gr_alarm_type alarm_type = {hold, fire};

gr_timer *gr_timer_new(gr_goroutine *(*run)(gr_timer *, uint64_t), void *arg,
                       void (*free_arg)(void *)) {
  gr_timer *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  gr_refs_init(&t->refs);
  gr_lock_init(&t->lock, GR_RANK_TASK);
  t->run = run;
  t->arg = arg;
  t->free_arg = free_arg;
  t->alarm.type = &alarm_type;
  atomic_fetch_add_explicit(&timer_count, 1, memory_order_relaxed);
  return t;
}

void gr_timer_retain(gr_timer *t) {
  gr_refs_retain(&t->refs);
}

void gr_timer_release(gr_timer *t) {
  if (!gr_refs_release(&t->refs))
    return;
  GR_ASSERT(t->alarm.node.entry == 0);
  if (t->free_arg)
    t->free_arg(t->arg);
  free(t);
  atomic_fetch_sub_explicit(&timer_count, 1, memory_order_relaxed);
}

static bool disarm_locked(gr_timer *t) {
  bool was_armed = t->armed;
  t->armed = false;
  gr_deadline_clear(&t->alarm);
  return was_armed;
}

bool gr_timer_set(gr_timer *t, uint64_t when_ns, uint64_t period_ns,
                  bool *was_armed) {
  gr_processor *p =
      atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
  gr_lock_lock(&t->lock);
  *was_armed = disarm_locked(t);
  t->when_ns = when_ns;
  t->period_ns = period_ns;
  t->armed = gr_deadline_set(&p->deadlines, &t->alarm, when_ns);
  bool done = t->armed;
  if (t->keeps_itself && done && !*was_armed)
    gr_timer_retain(t);
  gr_lock_unlock(&t->lock);
  if (t->keeps_itself && !done && *was_armed)
    gr_timer_release(t);
  gr_monitor_watch(p);
  return done;
}

bool gr_timer_stop(gr_timer *t) {
  gr_lock_lock(&t->lock);
  bool was_armed = disarm_locked(t);
  gr_lock_unlock(&t->lock);
  if (was_armed && t->keeps_itself)
    gr_timer_release(t); // the caller has a reference, too
  return was_armed;
}

// --- channels that get the time ---

// The channel is let go under the timer's lock before it is freed.
static gr_goroutine *send_time(gr_timer *t, uint64_t now_ns) {
  gr_goroutine *woken = NULL;
  gr_message m = {.kind = GR_MESSAGE_FLOAT, .number = gr_seconds(now_ns)};
  if (t->arg)
    gr_channel_offer(t->arg, &m, &woken);
  return woken;
}

static void channel_goes(void *arg) {
  gr_timer *t = arg;
  gr_lock_lock(&t->lock);
  disarm_locked(t);
  t->arg = NULL;
  gr_lock_unlock(&t->lock);
  gr_timer_release(t);
}

// A channel and the timer that sends on it, which goes when the channel goes.
static gr_channel *timed_channel(gr_timer **timer) {
  gr_channel *c = gr_channel_new(1);
  gr_timer *t = c ? gr_timer_new(send_time, c, NULL) : NULL;
  if (!t) {
    if (c)
      gr_channel_release(c);
    return NULL;
  }
  c->on_free = channel_goes;
  c->on_free_arg = t;
  *timer = t;
  return c;
}

gr_channel *gr_after_new(uint64_t when_ns) {
  gr_timer *t;
  bool was_armed;
  gr_channel *c = timed_channel(&t);
  if (c && when_ns != GR_NEVER && !gr_timer_set(t, when_ns, 0, &was_armed)) {
    gr_channel_release(c);
    return NULL;
  }
  return c;
}

gr_ticker *gr_ticker_new(uint64_t period_ns) {
  gr_ticker *ticker = calloc(1, sizeof *ticker);
  if (!ticker)
    return NULL;
  gr_refs_init(&ticker->refs);
  ticker->channel = timed_channel(&ticker->timer);
  if (ticker->channel && gr_ticker_reset(ticker, period_ns))
    return ticker;
  if (ticker->channel)
    gr_channel_release(ticker->channel);
  free(ticker);
  return NULL;
}

void gr_ticker_retain(gr_ticker *ticker) {
  gr_refs_retain(&ticker->refs);
}

void gr_ticker_release(gr_ticker *ticker) {
  if (!gr_refs_release(&ticker->refs))
    return;
  gr_channel_release(ticker->channel);
  free(ticker);
}

void gr_ticker_stop(gr_ticker *ticker) {
  gr_timer_stop(ticker->timer);
  gr_channel_drain(ticker->channel);
}

// A period too long for the clock never ticks.
bool gr_ticker_reset(gr_ticker *ticker, uint64_t period_ns) {
  bool was_armed;
  uint64_t now_ns = gr_now_ns();
  gr_ticker_stop(ticker);
  if (period_ns >= GR_NEVER - now_ns)
    return true;
  return gr_timer_set(ticker->timer, now_ns + period_ns, period_ns, &was_armed);
}
