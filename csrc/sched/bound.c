// SPDX-License-Identifier: MIT
// Goroutines bound to a thread, those of the hosts' threads among them: binding
// them, and having them run there.
#include <pthread.h>
#include <signal.h>

#include "sched/monitor.h"
#include "sched/pin.h"
#include "sched/sched.h"

void gr_bind(void) {
  gr_goroutine *g = gr_self();
  gr_worker *w = gr_worker_self();
  if (!g->bound) {
    gr_leave_main_thread();
    w = gr_worker_self();
    g->bound = w;
    w->runs_bound_only = true;
  }
  g->bound_count++;
}

bool gr_unbind(void) {
  gr_goroutine *g = gr_self();
  if (g->bound_count == 0)
    return false;
  if (--g->bound_count == 0 && !g->is_main) {
    g->bound->runs_bound_only = false;
    g->bound = NULL;
  }
  return true;
}

// --- waking ---

// Where a bound goroutine that has become runnable is to go.
typedef struct route {
  gr_processor *sleeping; // to be woken
  gr_worker *given;       // has been given a processor
  gr_worker *running;     // the same, and the caller can run that other one
  bool busy; // its worker runs another goroutine, which is to make way
  bool queued, moved;
} route;

// The worker's thread is stuck in a C call, on the stack of another goroutine.
// A main need not wait for that: its own stack is free, and any thread can go
// on with it. The caller's becomes the one that it is bound to.
// But not where the host may end its thread, which is to be the one it began.
static bool move_main_locked(gr_goroutine *g, gr_worker *to) {
#ifdef GR_TSAN
  return false; // it does not let a thread go on with another one's stack
#endif
  gr_worker *from = g->bound;
  if (!g->is_main || g->bound_count > 0 || !g->may_move || to->main ||
      to->runs_bound_only || gr_pin_is_under_foreign(g))
    return false;
  from->main = NULL;
  to->main = g;
  g->bound = to;
  return true;
}

static route route_locked(gr_goroutine *g, gr_worker *self) {
  gr_sched *s = &gr_the_sched;
  gr_worker *target = g->bound;
  gr_processor *p = atomic_load(&target->p);
  gr_processor *own = self ? atomic_load(&self->p) : NULL;
  bool between = own && !atomic_load(&self->g); // runs no goroutine now
  route r = {0};
  if (p) {
    atomic_store(&target->bound_ready, g);
    if (p->is_idle) {
      gr_remove_idle_locked(p);
      r.sleeping = p;
    } else {
      r.busy = true;
      s->bound_wakes++;
      r.running = between ? target : NULL;
    }
  } else if (!between) {
    gr_fifo_push(&s->woken, g); // whoever takes it comes here again
    r.queued = true;
  } else if (target->awaits_processor) {
    atomic_store(&target->bound_ready, g);
    target->awaits_processor = false;
    gr_detach_locked(self, own);
    gr_attach_locked(target, own);
    self->is_between = true;
    s->between++;
    r.given = target;
  } else if (move_main_locked(g, self)) {
    atomic_store(&self->bound_ready, g);
    r.moved = true;
  } else {
    atomic_store(&target->bound_ready, g); // when it comes back
  }
  return r;
}

void gr_ready_bound(gr_goroutine *g) {
  gr_lock_lock(&gr_the_sched.lock);
  route r = route_locked(g, gr_worker_self());
  if (r.running)
    gr_monitor_make_way_locked(r.running);
  gr_lock_unlock(&gr_the_sched.lock);
  if (r.sleeping)
    gr_loop_wake(&r.sleeping->loop);
  if (r.given)
    uv_sem_post(&r.given->handed);
  if (r.busy)
    gr_monitor_expect_bound();
  if (r.queued)
    gr_wake_processor();
  if (r.moved)
    pthread_sigmask(SIG_SETMASK, &gr_the_sched.host_mask, NULL);
}
