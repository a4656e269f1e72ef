// SPDX-License-Identifier: MIT
// Parking, giving way and waking. Called by running goroutines; what is to be
// done once they are off their stacks is a commit, on the scheduler's.
#include <lua.h>

#include "sched/sched.h"

// --- waking ---

static void mark_runnable(gr_goroutine *g) {
  // acquire, pairs with the release in commit_park
  GR_ASSERT(atomic_load_explicit(&g->status, memory_order_acquire) ==
            GR_WAITING);
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
}

// Somebody is woken for what has gone into the next slot only now and then, the
// more seldom the more often that was in vain: partners that take turns would
// keep another worker searching for ever. A thief that finds something ripe
// there makes the waking prompt again; and the monitor wakes somebody if a
// processor is idle while a next slot stays full.
static void wake_for_next(gr_processor *p) {
  enum { PATIENCE_MAX = 4096 };
  if (p->quiet_turns > 0) {
    p->quiet_turns--;
    return;
  }
  unsigned patience = atomic_load_explicit(&p->patience, memory_order_relaxed);
  p->quiet_turns = patience;
  if (patience < PATIENCE_MAX)
    atomic_store_explicit(&p->patience, 2 * patience + 1, memory_order_relaxed);
  gr_wake_processor();
}

void gr_ready(gr_goroutine *g) {
  gr_worker *w = gr_worker_self();
  gr_processor *p =
      w ? atomic_load_explicit(&w->p, memory_order_relaxed) : NULL;
  mark_runnable(g);
  if (g->bound && g->bound != w) {
    gr_ready_bound(g);
    return;
  }
  if (p) {
    gr_goroutine *displaced = gr_runq_set_next(&p->runq, g);
    if (!displaced) {
      wake_for_next(p);
      return;
    }
    gr_push_local(p, displaced);
  } else {
    gr_push_shared(&gr_the_sched.woken, g);
  }
  gr_wake_processor();
}

void gr_ready_woken(gr_goroutine *g) {
  mark_runnable(g);
  if (g->bound && g->bound != gr_worker_self()) {
    gr_ready_bound(g);
    return;
  }
  gr_push_shared(&gr_the_sched.woken, g);
  gr_wake_processor();
}

unsigned gr_ready_events(gr_goroutine *list, bool idle) {
  gr_goroutine *shared = NULL, *next;
  unsigned count = 0;
  for (gr_goroutine *g = list; g; g = next, count++) {
    next = g->next; // ours until it is runnable
    mark_runnable(g);
    if (g->bound && g->bound != gr_worker_self()) {
      gr_ready_bound(g);
    } else {
      g->next = shared;
      shared = g;
    }
  }
  if (!shared)
    return count;
  gr_lock_lock(&gr_the_sched.lock);
  for (; shared; shared = next) {
    next = shared->next;
    gr_fifo_push(&gr_the_sched.woken, shared);
  }
  gr_lock_unlock(&gr_the_sched.lock);
  if (!idle || count > 1) // the caller may have given its processor away
    gr_wake_processor();
  return count;
}

void gr_start(gr_goroutine *g) {
  gr_ready(g);
}

// --- switching away ---

// Leaves the running goroutine's stack; the scheduler then calls commit.
static void switch_away(gr_commit commit, void *arg) {
  gr_worker *w = gr_worker_self();
  gr_goroutine *g = atomic_load_explicit(&w->g, memory_order_relaxed);
  w->commit = commit;
  w->commit_arg = arg;
  gr_context_switch(&g->context, &w->context);
}

typedef struct park {
  uint64_t deadline_ns;
  gr_commit commit;
  void *arg;
} park;

// `p` lies on the stack of g, which may go on as soon as its objects are let
// go; what is needed after that has been read before. The deadline is set only
// now that g waits, and before that, while nobody else can let g go on.
static void commit_park(gr_goroutine *g, void *arg) {
  park *p = arg;
  gr_commit commit = p->commit;
  void *commit_arg = p->arg;
  uint64_t deadline_ns = p->deadline_ns;
  gr_ticket ticket = atomic_load_explicit(&g->claim, memory_order_relaxed);

  // release: whoever wins the claim sees g off its stack
  atomic_store_explicit(&g->status, GR_WAITING, memory_order_release);
  if (deadline_ns != GR_NEVER) {
    gr_processor *own =
        atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
    g->deadline.g = g;
    g->deadline.ticket = ticket;
    if (!gr_deadline_set(&own->deadlines, &g->deadline, deadline_ns) &&
        gr_wait_claim(g, ticket, GR_CLAIM_NOMEM)) {
      if (commit)
        commit(g, commit_arg);
      gr_ready(g);
      return;
    }
  }
  if (commit)
    commit(g, commit_arg);
}

// Nobody is there any more to wake main, or to run anything.
static bool has_stopped(gr_goroutine *g) {
  return GR_UNLIKELY(atomic_load_explicit(&gr_the_sched.stopping,
                                          memory_order_relaxed)) &&
         g->is_main;
}

void gr_park(gr_wait_kind kind, const void *object, uint64_t deadline_ns,
             gr_commit commit, void *arg) {
  gr_goroutine *g = gr_self();
  if (has_stopped(g)) {
    gr_wait_claim(g, atomic_load(&g->claim), GR_CLAIM_STOPPED);
    if (commit)
      commit(g, arg);
    return;
  }
  park p = {deadline_ns, commit, arg};
  if (g->is_main && g->L)
    atomic_store_explicit(&g->hook_at_park, (uintptr_t)lua_gethook(g->L),
                          memory_order_relaxed);
  g->wait_kind = kind;
  g->wait_object = object;
  g->wait_is_timed = deadline_ns != GR_NEVER;
  g->wait_since_ns =
      atomic_load_explicit(&gr_the_sched.coarse_now_ns, memory_order_relaxed);
  switch_away(commit_park, &p);
  if (deadline_ns != GR_NEVER)
    gr_deadline_clear(&g->deadline);
}

static void commit_yield(gr_goroutine *g, void *arg) {
  (void)arg;
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
  gr_push_shared(&gr_the_sched.global, g);
  gr_wake_processor();
}

bool gr_others_wait(gr_worker *w) {
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  return gr_fifo_has_any(&gr_the_sched.global) ||
         gr_fifo_has_any(&gr_the_sched.woken) ||
         atomic_load_explicit(&p->runq.next, memory_order_relaxed) ||
         gr_runq_count(&p->runq) != 0 ||
         atomic_load_explicit(&w->bound_ready, memory_order_relaxed);
}

void gr_yield(void) {
  gr_worker *w = gr_worker_self();
  // An elapsed deadline counts as somebody to give way to.
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  uint64_t earliest = gr_deadlines_earliest(&p->deadlines);
  if (GR_UNLIKELY(earliest != GR_NEVER)) {
    uint64_t now = gr_now_ns();
    if (earliest <= now)
      gr_deadlines_fire(&p->deadlines, now, gr_ready_woken);
  }
  if (gr_others_wait(w) && !has_stopped(gr_self()))
    switch_away(commit_yield, NULL);
}

void gr_leave_slow(gr_worker *w) {
  atomic_store_explicit(&w->preempt, 0, memory_order_relaxed);
  atomic_fetch_add_explicit(&gr_the_sched.preemptions, 1, memory_order_relaxed);
  switch_away(commit_yield, NULL);
  atomic_store_explicit(&gr_worker_self()->in_runtime, false,
                        memory_order_release);
}

// The goroutine had lost its processor in a C call: let another worker that
// has one go on with it.
static void commit_without_processor(gr_goroutine *g, void *arg) {
  gr_worker *w = arg;
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
  gr_lock_lock(&gr_the_sched.lock);
  gr_the_sched.without_processor--;
  if (g->bound == w)
    atomic_store(&w->bound_ready, g);
  else
    gr_fifo_push(&gr_the_sched.woken, g);
  gr_lock_unlock(&gr_the_sched.lock);
  gr_wake_processor();
}

void gr_enter_slow(gr_worker *w) {
  gr_lock_lock(&gr_the_sched.lock); // a retake in progress holds it
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  gr_lock_unlock(&gr_the_sched.lock);
  if (!p)
    switch_away(commit_without_processor, w);
}

static void commit_leave_main(gr_goroutine *g, void *arg) {
  (void)arg;
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
  gr_push_shared(&gr_the_sched.woken, g);
  gr_wake_processor();
}

void gr_leave_main_thread(void) {
  gr_worker *w = gr_worker_self();
  gr_goroutine *g = gr_self();
  if (!w->main || g->bound)
    return;
  bool was_foreign = atomic_exchange(&g->foreign, true);
  switch_away(commit_leave_main, NULL);
  atomic_store(&g->foreign, was_foreign);
}

void gr_finish(gr_commit commit, void *arg) {
  gr_worker *w = gr_worker_self();
  gr_goroutine *g = atomic_load_explicit(&w->g, memory_order_relaxed);
  if (g->bound)
    w->runs_bound_only = false; // it was locked to the end
  atomic_store_explicit(&g->status, GR_DONE, memory_order_relaxed);
  w->commit = commit;
  w->commit_arg = arg;
  gr_context_leave(&g->context, &w->context);
}
