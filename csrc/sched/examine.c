// SPDX-License-Identifier: MIT
#include "sched/examine.h"

#include <unistd.h>

#include "sched/barrier.h"
#include "sched/sched.h"

enum { TRIES = 100, PAUSE_US = 50 };

static bool is_running(gr_goroutine *g) {
  return atomic_load(&g->status) == GR_RUNNING;
}

static void make_way(gr_goroutine *g) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_worker *w = GR_CONTAINER(at, gr_worker, all);
    if (atomic_load(&w->g) == g && !w->is_gone)
      gr_preempt_locked(w, 0);
  }
  gr_lock_unlock(&s->lock);
}

bool gr_examine(gr_goroutine *g, void (*read)(gr_goroutine *g, void *arg),
                void *arg) {
  atomic_fetch_add(&g->examined, 1);
  gr_barrier_everywhere();
  for (int i = 0; i < TRIES && is_running(g); i++) {
    make_way(g);
    usleep(PAUSE_US);
  }
  bool stands = !is_running(g);
  if (stands)
    read(g, arg);
  atomic_fetch_sub(&g->examined, 1);
  return stands;
}
