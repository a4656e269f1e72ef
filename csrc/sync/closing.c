// SPDX-License-Identifier: MIT
// The alarm ends the goroutine's wait, whichever that is by then: it looks
// again what may strike, and finds its time over, or nothing. Each has an alarm
// of its own, since one that has been taken out to be fired is not set again.
#include "sync/closing.h"

#include "sched/monitor.h"
#include "sched/sched.h"

static void fini(void *object) {
  gr_closing *closing = object;
  gr_object_release(closing->why);
  gr_task_release(closing->task);
}

static void hold(gr_deadline *alarm) {
  (void)alarm; // it has a reference, which fire lets go
}

static void fire(gr_deadline *alarm, uint64_t now_ns) {
  (void)now_ns;
  gr_closing *closing = GR_CONTAINER(alarm, gr_closing, alarm);
  gr_cancel_wake(closing->task);
  gr_object_release(closing);
}

static const gr_alarm_type alarm_type = {hold, fire};

static gr_closing *new_closing(gr_task *task, gr_cancellation *why) {
  gr_closing *closing = gr_object_new(sizeof *closing, fini);
  if (!closing)
    return NULL;
  gr_object_retain(why);
  closing->why = why;
  gr_task_retain(task);
  closing->task = task;
  closing->alarm.type = &alarm_type;
  return closing;
}

bool gr_closing_begin(gr_cancellation *why, uint64_t deadline_ns) {
  gr_task *task = gr_self()->owner;
  gr_processor *p =
      atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
  gr_closing_end(task);
  gr_closing *closing = new_closing(task, why);
  if (!closing)
    return false;
  closing->deadline_ns = deadline_ns;
  gr_object_retain(closing);
  if (!gr_deadline_set(&p->deadlines, &closing->alarm, deadline_ns)) {
    gr_object_release(closing);
    gr_object_release(closing);
    return false;
  }
  gr_monitor_watch(p);
  task->closing = closing;
  return true;
}

void gr_closing_end(gr_task *task) {
  gr_closing *closing = task->closing;
  if (!closing)
    return;
  task->closing = NULL;
  if (gr_deadline_clear(&closing->alarm))
    gr_object_release(closing);
  gr_object_release(closing);
}
