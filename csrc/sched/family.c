// SPDX-License-Identifier: MIT
// Families, and how one ends. A goroutine whose family has ended runs only to
// leave: it is struck, and marked in `examined`. The one who ends the family,
// and a goroutine:
//
//   ender:      mark it and strike it, membarrier, look at its claim and status
//   goroutine:  open a wait,           [barrier],  look whether it is struck
//   worker:     status = running,      [barrier],  look at the mark
//
// So no wait stays open, and what is not seen running by the ender runs only
// with its hook armed: it meets the strike before it executes an instruction of
// Lua. One that is seen running is preempted until it has left the processor or
// has been seen by a worker, marked. Goroutines that begin later are born so.
#include "sched/family.h"

#include <lua.h>
#include <stdlib.h>

#include "sched/barrier.h"
#include "sched/examine.h"
#include "sched/preempt.h"
#include "sched/sched.h"

void (*gr_family_forget_main)(void *owner);

atomic_bool gr_some_are_apart;

bool gr_is_apart_slow(void) {
  if (gr_is_child())
    return true;
  gr_goroutine *g = gr_self();
  return g && g->is_over;
}

gr_family *gr_family_self(void) {
  return gr_self()->family;
}

// --- coming and going ---

// One that nothing can belong to any more, or NULL.
static gr_family *take_old(void) {
  gr_sched *s = &gr_the_sched;
  gr_family *f = NULL;
  gr_lock_lock(&s->lock);
  gr_list *old = &s->old_families;
  for (gr_link *at = old->head.next; at != &old->head && !f; at = at->next) {
    f = GR_CONTAINER(at, gr_family, all);
    if (atomic_load(&f->sources))
      f = NULL;
  }
  if (f) {
    gr_list_remove(&f->all);
    atomic_store(&f->is_over, false);
  }
  gr_lock_unlock(&s->lock);
  return f;
}

gr_family *gr_family_new(void) {
  gr_family *f = take_old();
  if (f || !(f = calloc(1, sizeof *f)))
    return f;
  gr_link_init(&f->all);
  gr_list_init(&f->goroutines);
  return f;
}

static void mark_locked(gr_goroutine *g) {
  atomic_fetch_or(&g->struck, GR_STRUCK_END);
  atomic_fetch_or(&g->examined, GR_EXAMINED_END);
}

void gr_family_add_locked(gr_family *f, gr_goroutine *g) {
  gr_sched *s = &gr_the_sched;
  if (gr_list_is_empty(&f->goroutines)) {
    gr_list_remove(&f->all); // a late one, where all others have ended
    gr_list_push(&s->families, &f->all);
    atomic_fetch_add(&s->family_count, 1);
  }
  gr_list_push(&f->goroutines, &g->all);
  atomic_fetch_add(&f->count, 1);
  if (atomic_load_explicit(&f->is_over, memory_order_relaxed))
    mark_locked(g);
}

void gr_family_remove_locked(gr_family *f, gr_goroutine *g) {
  gr_sched *s = &gr_the_sched;
  gr_list_remove(&g->all);
  atomic_fetch_sub(&f->count, 1);
  if (!gr_list_is_empty(&f->goroutines))
    return;
  gr_list_remove(&f->all);
  gr_list_push(&s->old_families, &f->all);
  atomic_fetch_sub(&s->family_count, 1);
}

// --- the end ---

// Ends their waits. A list of those whose wait this was, by `next`.
static gr_goroutine *end_waits_locked(gr_family *f) {
  gr_goroutine *woken = NULL;
  gr_list *all = &f->goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    unsigned word = atomic_load(&g->claim);
    if (g->is_main || (word & GR_CLAIM_MASK) != GR_CLAIM_OPEN ||
        !gr_wait_claim(g, word, GR_CLAIM_STOPPED))
      continue;
    g->next = woken;
    woken = g;
  }
  return woken;
}

static void mark_all_locked(gr_family *f) {
  gr_list *all = &f->goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    if (!g->is_main)
      mark_locked(g);
  }
}

static void strike_all(gr_family *f) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  atomic_store(&f->is_over, true);
  mark_all_locked(f);
  gr_lock_unlock(&s->lock);
  gr_barrier_everywhere();
  gr_lock_lock(&s->lock);
  gr_goroutine *woken = end_waits_locked(f);
  gr_lock_unlock(&s->lock);
  for (gr_goroutine *g = woken; g; g = g->next)
    gr_wait_until_parked(g);
  if (!atomic_load(&s->stopping)) // else some may not have parked
    gr_ready_events(woken, false);
}

// Its alarms go off now: what they lead to is for goroutines that end, and they
// are not set again. (Whoever sets one counts it first, and then looks whether
// the family is over.)
static void fire_alarms(gr_family *f) {
  gr_sched *s = &gr_the_sched;
  if (atomic_load(&f->sources) == 0)
    return;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++)
    gr_deadlines_fire_family(&atomic_load(&s->processors[i])->deadlines, f);
}

// Has those that still run Lua or C code make way. True if there are none.
static bool urge_all(void *arg) {
  gr_family *f = arg;
  gr_sched *s = &gr_the_sched;
  bool none = true;
  gr_lock_lock(&s->lock);
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_worker *w = GR_CONTAINER(at, gr_worker, all);
    gr_goroutine *g = atomic_load(&w->g); // not freed without the lock
    if (!g || g->family != f || g->is_main || atomic_load(&g->ends))
      continue;
    none = false;
    gr_preempt_locked(w, 0);
  }
  gr_lock_unlock(&s->lock);
  return none;
}

bool gr_family_end(void) {
  gr_goroutine *main = gr_self();
  gr_family *f = main->family;
  gr_enter();
  strike_all(f);
  fire_alarms(f);
  bool stopped = gr_insist(urge_all, f);
  main->is_over = true;
  atomic_store(&gr_some_are_apart, true);
  gr_worker_leave_host();
  return stopped;
}
