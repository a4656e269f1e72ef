// SPDX-License-Identifier: MIT
// A deadlock is known, not guessed: when the last processor goes idle, nothing
// is queued, no goroutine is in a C call, no deadline is set, and none waits
// for anything outside, then nothing can make a goroutine runnable any more.
// Where there are several families, the monitor looks at each, too.
#include "sched/sched.h"

static bool has_deadlines(void) {
  unsigned made = atomic_load(&gr_the_sched.processors_made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *p = atomic_load(&gr_the_sched.processors[i]);
    if (gr_deadlines_earliest(&p->deadlines) != GR_NEVER)
      return true;
  }
  return false;
}

// Held by a worker that does not sleep, or on its way to one. There may be more
// such than there are to be processors, just after their number was reduced.
static bool is_busy(gr_processor *p) {
  return !p->is_idle && (p->worker || p->in_flight);
}

// True if a worker is about to see to the goroutine bound to it: it has passed
// its processor on, and has not come to wait for another yet.
static bool has_bound_ready(void) {
  gr_list *all = &gr_the_sched.workers;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_worker *w = GR_CONTAINER(at, gr_worker, all);
    if (!w->is_gone && atomic_load(&w->bound_ready))
      return true;
  }
  return false;
}

bool gr_any_busy_locked(void) {
  gr_sched *s = &gr_the_sched;
  if (atomic_load(&s->idle_count) < atomic_load(&s->procs) ||
      s->without_processor || s->between)
    return true;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++)
    if (is_busy(atomic_load(&s->processors[i])))
      return true;
  return has_bound_ready();
}

// Ends the wait of the family's main, if it is in one.
static gr_goroutine *claim_main(gr_family *f) {
  gr_list *all = &f->goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    unsigned word = atomic_load(&g->claim);
    if (g->is_main && (word & GR_CLAIM_MASK) == GR_CLAIM_OPEN &&
        gr_wait_claim(g, word, GR_CLAIM_DEADLOCK))
      return g;
  }
  return NULL;
}

// A lost wake-up, had there been one, would show here.
static void assert_none_runnable(gr_family *f) {
  gr_list *all = &f->goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next)
    GR_ASSERT(atomic_load(&GR_CONTAINER(at, gr_goroutine, all)->status) !=
              GR_RUNNABLE);
}

// A deadline may have been taken out, and what it wakes be on its way to a
// queue, in the hands of the monitor: it counts as somebody who works.
gr_goroutine *gr_deadlock_check_locked(void) {
  gr_sched *s = &gr_the_sched;
  if (gr_any_busy_locked() || atomic_load(&s->searching) ||
      atomic_load(&s->monitor_fires) || atomic_load(&s->outside_waits) ||
      has_deadlines() || gr_count_woken(s) || atomic_load(&s->global.count))
    return NULL;
  gr_goroutine *victim = NULL;
  for (gr_link *at = s->families.head.next; at != &s->families.head && !victim;
       at = at->next) {
    gr_family *f = GR_CONTAINER(at, gr_family, all);
    assert_none_runnable(f);
    victim = claim_main(f);
  }
  return victim;
}

// --- of one family, while others run ---

// It waits, without a timeout, for what other goroutines of its family do.
static bool is_stuck(gr_goroutine *g, unsigned *word) {
  *word = atomic_load(&g->claim); // first: who waits afterwards is in that wait
  if (atomic_load(&g->status) != GR_WAITING)
    return false;
  gr_wait_kind kind = atomic_load(&g->wait_kind);
  return (*word & GR_CLAIM_MASK) == GR_CLAIM_OPEN &&
         !atomic_load(&g->wait_is_timed) && kind <= GR_WAIT_LAST_INSIDE;
}

// The sum of all their tickets, which only grow. False: not all are stuck. The
// one that is not comes first the next time: it is likely not to be then.
static bool sum_of_waits(gr_family *f, uint64_t *sum) {
  gr_list *all = &f->goroutines;
  *sum = 0;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    unsigned word;
    if (!is_stuck(GR_CONTAINER(at, gr_goroutine, all), &word)) {
      gr_list_remove(at);
      gr_list_push_front(all, at);
      return false;
    }
    *sum += word;
  }
  return true;
}

// Whoever waits to be the last, and is, is about to see that: off its stack.
static bool is_last(gr_family *f) {
  gr_link *first = gr_list_first(&f->goroutines);
  return first && first->next == &f->goroutines.head &&
         atomic_load(&GR_CONTAINER(first, gr_goroutine, all)->wait_kind) ==
             GR_WAIT_OTHERS;
}

// Looks twice. A wait that is open in both looks was open between them, and so
// were all at once, then; and nothing else could wake one, for the sources are
// counted between the looks, until what they lead to has been done. The lock
// keeps goroutines from coming and going.
gr_goroutine *gr_family_check_locked(gr_family *f) {
  uint64_t first, second;
  if (atomic_load(&f->is_over) || is_last(f) || atomic_load(&f->sources) ||
      !sum_of_waits(f, &first) || atomic_load(&f->sources) ||
      !sum_of_waits(f, &second) || first != second)
    return NULL;
  return claim_main(f);
}
