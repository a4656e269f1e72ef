// SPDX-License-Identifier: MIT
#include "sched/deadline.h"

#include "sched/goroutine.h"
#include "sched/sched.h"

void gr_deadlines_init(gr_deadlines *deadlines) {
  gr_lock_init(&deadlines->lock, GR_RANK_DEADLINES);
  gr_heap_init(&deadlines->heap);
  atomic_init(&deadlines->earliest_ns, GR_NEVER);
}

void gr_deadlines_fini(gr_deadlines *deadlines) {
  gr_heap_fini(&deadlines->heap);
}

static void publish_locked(gr_deadlines *deadlines) {
  gr_heap_node *first = gr_heap_first(&deadlines->heap);
  uint64_t earliest = first ? first->key : GR_NEVER;
  if (earliest != gr_deadlines_earliest(deadlines))
    atomic_store(&deadlines->earliest_ns, earliest);
}

bool gr_deadline_set(gr_deadlines *home, gr_deadline *deadline,
                     uint64_t when_ns) {
  gr_lock_lock(&home->lock);
  deadline->home = home;
  deadline->node.key = when_ns;
  bool done = gr_heap_push(&home->heap, &deadline->node);
  publish_locked(home);
  gr_lock_unlock(&home->lock);
  return done;
}

bool gr_deadline_clear(gr_deadline *deadline) {
  gr_deadlines *home = deadline->home;
  if (!home)
    return false;
  gr_lock_lock(&home->lock);
  bool was_set = deadline->node.place != 0;
  if (was_set) {
    gr_heap_remove(&home->heap, &deadline->node);
    publish_locked(home);
  }
  gr_lock_unlock(&home->lock);
  return was_set;
}

enum { BATCH = 64 };

unsigned gr_deadlines_fire(gr_deadlines *deadlines, uint64_t now_ns,
                           void (*ready)(gr_goroutine *g)) {
  unsigned fired = 0, in_batch;
  do {
    gr_goroutine *woken[BATCH];
    gr_deadline *alarms[BATCH]; // not linked: others may take one out, too
    unsigned woken_count = 0, alarm_count = 0;
    in_batch = 0;

    gr_lock_lock(&deadlines->lock);
    while (in_batch < BATCH) {
      gr_heap_node *first = gr_heap_first(&deadlines->heap);
      if (!first || first->key > now_ns)
        break;
      gr_deadline *d = GR_CONTAINER(first, gr_deadline, node);
      gr_heap_remove(&deadlines->heap, first);
      in_batch++;
      if (d->g) {
        // The goroutine takes this lock before it leaves the wait, so that `d`
        // is there until we let it go.
        if (gr_wait_claim(d->g, d->ticket, GR_CLAIM_TIMEOUT))
          woken[woken_count++] = d->g;
      } else {
        d->hold(d);
        alarms[alarm_count++] = d;
      }
    }
    publish_locked(deadlines);
    gr_lock_unlock(&deadlines->lock);

    for (unsigned i = 0; i < woken_count; i++) {
      gr_wait_until_parked(woken[i]); // it sets its deadline before that
      ready(woken[i]);
    }
    for (unsigned i = 0; i < alarm_count; i++)
      alarms[i]->fire(alarms[i], now_ns); // it may be gone then
    fired += in_batch;
  } while (in_batch == BATCH);
  return fired;
}
