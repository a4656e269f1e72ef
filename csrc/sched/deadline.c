// SPDX-License-Identifier: MIT
#include "sched/deadline.h"

#include "sched/family.h"
#include "sched/fetch.h"
#include "sched/goroutine.h"
#include "sched/sched.h"

void gr_deadlines_init(gr_deadlines *deadlines) {
  gr_lock_init(&deadlines->lock, GR_RANK_DEADLINES);
  gr_calendar_init(&deadlines->calendar);
  atomic_init(&deadlines->earliest_ns, GR_NEVER);
}

void gr_deadlines_fini(gr_deadlines *deadlines) {
  gr_calendar_fini(&deadlines->calendar);
}

static void publish_locked(gr_deadlines *deadlines) {
  uint64_t earliest = gr_calendar_least(&deadlines->calendar, GR_NEVER);
  if (earliest != gr_deadlines_earliest(deadlines))
    atomic_store(&deadlines->earliest_ns, earliest);
}

static void leave_family(gr_family *f) {
  if (f)
    atomic_fetch_sub(&f->sources, 1);
}

// False: it is over. The calendar's lock is held, which
// gr_deadlines_fire_family takes after that was set.
static bool join_family(gr_deadline *alarm) {
  gr_goroutine *g = alarm->family ? NULL : gr_self();
  if (g)
    alarm->family = g->family;
  gr_family *f = alarm->family; // NULL only without a scheduler
  if (!f)
    return true;
  atomic_fetch_add(&f->sources, 1); // seq_cst: first, see gr_family_end
  if (!atomic_load(&f->is_over))
    return true;
  leave_family(f);
  return false;
}

bool gr_deadline_set(gr_deadlines *home, gr_deadline *deadline,
                     uint64_t when_ns) {
  gr_lock_lock(&home->lock);
  deadline->home = home;
  deadline->node.key = when_ns;
  bool counts = !deadline->g;
  bool done = !counts || join_family(deadline);
  if (done && !gr_calendar_push(&home->calendar, &deadline->node)) {
    done = false;
    if (counts)
      leave_family(deadline->family);
  }
  publish_locked(home);
  gr_lock_unlock(&home->lock);
  return done;
}

bool gr_deadline_clear(gr_deadline *deadline) {
  gr_deadlines *home = deadline->home;
  if (!home)
    return false;
  gr_family *f = deadline->g ? NULL : deadline->family;
  gr_lock_lock(&home->lock);
  bool was_set = deadline->node.entry != 0;
  if (was_set) {
    gr_calendar_remove(&home->calendar, &deadline->node);
    publish_locked(home);
  }
  gr_lock_unlock(&home->lock);
  if (was_set)
    leave_family(f);
  return was_set;
}

enum { BATCH = 64 };

// What has been taken out of a calendar, to be done without its lock.
typedef struct batch {
  gr_goroutine *woken[BATCH];
  gr_deadline *alarms[BATCH]; // not linked: others may take one out, too
  unsigned woken_count, alarm_count;
} batch;

// Has been taken out.
static void claim_locked(gr_deadline *d, batch *b) {
  if (!d->g) {
    d->type->hold(d);
    b->alarms[b->alarm_count++] = d;
    return;
  }
  // The goroutine takes this lock before it leaves the wait, so that `d` is
  // there until we let it go; but if we win, it does not leave it before it is
  // made runnable, and `d` is not touched any more.
  if (gr_wait_claim(d->g, d->ticket, GR_CLAIM_TIMEOUT))
    b->woken[b->woken_count++] = d->g;
}

static void fire_alarms(batch *b, uint64_t now_ns) {
  for (unsigned i = 0; i < b->alarm_count; i++) {
    gr_family *f = b->alarms[i]->family;
    b->alarms[i]->type->fire(b->alarms[i], now_ns); // it may be gone then
    leave_family(f);
  }
}

// What has expired is in no cache: it is fetched, all at once, before any of it
// is looked at.
static unsigned take_expired_locked(gr_deadlines *deadlines, uint64_t now_ns,
                                    batch *b) {
  gr_deadline *expired[BATCH];
  unsigned count = 0;
  while (count < BATCH &&
         gr_calendar_least(&deadlines->calendar, GR_NEVER) <= now_ns) {
    gr_calendar_node *node = gr_calendar_pop(&deadlines->calendar);
    gr_deadline *d = expired[count++] = GR_CONTAINER(node, gr_deadline, node);
    gr_fetch_self(GR_CONTAINER(d, gr_goroutine, deadline)); // most are
  }
  for (unsigned i = 0; i < count; i++) {
    expired[i]->node.entry = 0;
    claim_locked(expired[i], b);
  }
  return count;
}

unsigned gr_deadlines_fire(gr_deadlines *deadlines, uint64_t now_ns,
                           void (*ready)(gr_goroutine *list)) {
  unsigned fired = 0, in_batch;
  do {
    batch b;
    b.woken_count = b.alarm_count = 0;
    gr_lock_lock(&deadlines->lock);
    in_batch = take_expired_locked(deadlines, now_ns, &b);
    publish_locked(deadlines);
    gr_lock_unlock(&deadlines->lock);

    gr_goroutine *list = NULL;
    for (unsigned i = 0; i < b.woken_count; i++) {
      gr_wait_until_parked(b.woken[i]); // it sets its deadline before that
      b.woken[i]->next = list;
      list = b.woken[i];
    }
    if (list)
      ready(list);
    fire_alarms(&b, now_ns);
    fired += in_batch;
  } while (in_batch == BATCH);
  return fired;
}

void gr_deadlines_fire_family(gr_deadlines *deadlines, gr_family *family) {
  batch b;
  do {
    b.alarm_count = 0;
    gr_lock_lock(&deadlines->lock);
    gr_calendar *calendar = &deadlines->calendar;
    for (uint32_t i = 0; i < calendar->entries && b.alarm_count < BATCH; i++) {
      gr_calendar_node *node = gr_calendar_at(calendar, i);
      gr_deadline *d = node ? GR_CONTAINER(node, gr_deadline, node) : NULL;
      if (!d || d->g || d->family != family)
        continue;
      gr_calendar_remove(calendar, node);
      claim_locked(d, &b);
    }
    publish_locked(deadlines);
    gr_lock_unlock(&deadlines->lock);
    fire_alarms(&b, GR_NEVER - 1);
  } while (b.alarm_count > 0);
}
