// SPDX-License-Identifier: MIT
// Parking, waking, and choosing what runs next. All but gr_sched_next and the
// loop is called by running goroutines, or on scheduler stacks.
//
// Order in which a worker takes goroutines: its bound one; woken by time or
// events; the next slot (which inherits the slice); its ring; the global
// queue; other processors. Every 61st slice begins with the global queue, so
// that what is made runnable here without end cannot hide it.
#include "sched/sched.h"

#include <lua.h>

#include "sched/monitor.h"

gr_sched gr_the_sched = {.lock = GR_LOCK_STATIC(GR_RANK_SCHED)};

// --- queues ---

static void fifo_init(gr_fifo *q) {
  q->first = NULL;
  q->end = &q->first;
  atomic_init(&q->count, 0);
}

void gr_fifo_push(gr_fifo *q, gr_goroutine *g) {
  g->next = NULL;
  *q->end = g;
  q->end = &g->next;
  atomic_fetch_add(&q->count, 1);
}

gr_goroutine *gr_fifo_pop(gr_fifo *q) {
  gr_goroutine *g = q->first;
  if (!g)
    return NULL;
  q->first = g->next;
  if (!q->first)
    q->end = &q->first;
  atomic_fetch_sub(&q->count, 1);
  return g;
}

static bool has_any(gr_fifo *q) {
  return atomic_load_explicit(&q->count, memory_order_relaxed) != 0;
}

static void push_shared(gr_fifo *q, gr_goroutine *g) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_fifo_push(q, g);
  gr_lock_unlock(&gr_the_sched.lock);
}

// Moves half of a full ring, and `g`, to the global queue.
static void overflow(gr_processor *p, gr_goroutine *g) {
  gr_lock_lock(&gr_the_sched.lock);
  for (int i = 0; i < GR_RUNQ_ROOM / 2; i++) {
    gr_goroutine *moved = gr_runq_pop(&p->runq);
    if (!moved)
      break;
    gr_fifo_push(&gr_the_sched.global, moved);
  }
  gr_fifo_push(&gr_the_sched.global, g);
  gr_lock_unlock(&gr_the_sched.lock);
}

static void push_local(gr_processor *p, gr_goroutine *g) {
  if (!gr_runq_push(&p->runq, g))
    overflow(p, g);
}

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
    push_local(p, displaced);
  } else {
    push_shared(&gr_the_sched.woken, g);
  }
  gr_wake_processor();
}

void gr_ready_woken(gr_goroutine *g) {
  mark_runnable(g);
  if (g->bound && g->bound != gr_worker_self()) {
    gr_ready_bound(g);
    return;
  }
  push_shared(&gr_the_sched.woken, g);
  gr_wake_processor();
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
  switch_away(commit_park, &p);
  if (deadline_ns != GR_NEVER)
    gr_deadline_clear(&g->deadline);
}

static void commit_yield(gr_goroutine *g, void *arg) {
  (void)arg;
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
  push_shared(&gr_the_sched.global, g);
  gr_wake_processor();
}

static bool is_alone(gr_worker *w) {
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  return !has_any(&gr_the_sched.global) && !has_any(&gr_the_sched.woken) &&
         !atomic_load_explicit(&p->runq.next, memory_order_relaxed) &&
         gr_runq_count(&p->runq) == 0 &&
         !atomic_load_explicit(&w->bound_ready, memory_order_relaxed);
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
  if (!is_alone(w) && !has_stopped(gr_self()))
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
  push_shared(&gr_the_sched.woken, g);
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
  atomic_store_explicit(&g->status, GR_DONE, memory_order_relaxed);
  w->commit = commit;
  w->commit_arg = arg;
  gr_context_leave(&g->context, &w->context);
}

// --- the scheduler's loop ---

static gr_goroutine *take_shared(gr_fifo *q) {
  if (!has_any(q))
    return NULL;
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *g = gr_fifo_pop(q);
  gr_lock_unlock(&gr_the_sched.lock);
  return g;
}

// Takes one from the global queue, and this processor's share into its ring.
static gr_goroutine *take_global(gr_processor *p) {
  if (!has_any(&gr_the_sched.global))
    return NULL;
  gr_lock_lock(&gr_the_sched.lock);
  gr_fifo *q = &gr_the_sched.global;
  unsigned share = atomic_load(&q->count) / atomic_load(&gr_the_sched.procs);
  gr_goroutine *g = gr_fifo_pop(q);
  for (unsigned i = 1; i < share && i < GR_RUNQ_ROOM / 2; i++) {
    gr_goroutine *more = gr_fifo_pop(q);
    if (!more)
      break;
    if (!gr_runq_push(&p->runq, more)) {
      gr_fifo_push(q, more);
      break;
    }
  }
  gr_lock_unlock(&gr_the_sched.lock);
  return g;
}

enum { GLOBAL_TURN = 61 };

static gr_goroutine *take(gr_worker *w, gr_processor *p, bool *inherits) {
  gr_goroutine *g = NULL;
  unsigned turns = atomic_load_explicit(&p->turns, memory_order_relaxed);
  atomic_store_explicit(&p->turns, turns + 1, memory_order_relaxed);
  *inherits = false;
  if (atomic_load_explicit(&w->slice, memory_order_relaxed) % GLOBAL_TURN == 0)
    g = take_shared(&gr_the_sched.global);
  if (!g)
    g = take_shared(&gr_the_sched.woken);
  if (!g && (g = gr_runq_pop_next(&p->runq)))
    *inherits = true;
  if (!g)
    g = gr_runq_pop(&p->runq);
  if (!g)
    g = take_global(p);
  return g;
}

static void new_slice(gr_worker *w) {
  unsigned slice = atomic_load_explicit(&w->slice, memory_order_relaxed) + 1;
  atomic_store_explicit(&w->slice, slice ? slice : 1, memory_order_relaxed);
}

// A processor too many: its queue goes to the others.
static void give_up_processor(gr_worker *w, gr_processor *p) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *g = gr_runq_pop_next(&p->runq);
  if (g)
    gr_fifo_push(&gr_the_sched.global, g);
  while ((g = gr_runq_pop(&p->runq)))
    gr_fifo_push(&gr_the_sched.global, g);
  gr_detach_locked(w, p);
  // Parked; but if there are to be more again meanwhile, it is needed.
  if (p->id < atomic_load(&gr_the_sched.procs))
    gr_add_idle_locked(p);
  p->in_flight = false;
  gr_lock_unlock(&gr_the_sched.lock);
  gr_wake_processor();
}

// Lets another worker have the processor, with `g` (may be NULL) in its queue.
static void pass_processor_on(gr_worker *w, gr_processor *p, gr_goroutine *g) {
  if (g)
    push_local(p, g);
  gr_lock_lock(&gr_the_sched.lock);
  gr_detach_locked(w, p);
  gr_lock_unlock(&gr_the_sched.lock);
  gr_handoff(p, false);
}

static bool may_run_here(gr_worker *w, gr_goroutine *g) {
  return !(w->main && !g->bound &&
           atomic_load_explicit(&g->foreign, memory_order_relaxed));
}

gr_goroutine *gr_sched_next(gr_worker *w) {
  for (;;) {
    bool inherits = false;
    gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
    if (atomic_load_explicit(&gr_the_sched.stopping, memory_order_relaxed))
      return NULL;
    if (!p) {
      gr_wait_for_processor(w);
      continue;
    }
    if (p->id >=
        atomic_load_explicit(&gr_the_sched.procs, memory_order_relaxed)) {
      give_up_processor(w, p);
      continue;
    }
    gr_goroutine *g = NULL;
    if (GR_UNLIKELY(atomic_load_explicit(&w->bound_ready,
                                         memory_order_relaxed) != NULL))
      g = atomic_exchange(&w->bound_ready, NULL);
    if (!g && w->runs_bound_only) {
      pass_processor_on(w, p, NULL);
      continue;
    }
    if (!g)
      g = take(w, p, &inherits);
    if (!g)
      g = gr_idle(w);
    if (!g)
      continue;
    if (w->searching)
      gr_stop_searching(w, true);
    if (g->bound && g->bound != w) {
      gr_ready_bound(g);
      continue;
    }
    if (GR_UNLIKELY(!may_run_here(w, g))) {
      pass_processor_on(w, p, g);
      continue;
    }
    if (!inherits)
      new_slice(w);
    return g;
  }
}

static void run(gr_worker *w, gr_goroutine *g) {
  GR_ASSERT(atomic_load_explicit(&g->status, memory_order_relaxed) ==
            GR_RUNNABLE);
  gr_monitor_watch(atomic_load_explicit(&w->p, memory_order_relaxed));
  for (;;) {
    atomic_store_explicit(&g->status, GR_RUNNING, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (GR_UNLIKELY(gr_enter_needs_fence))
      atomic_thread_fence(memory_order_seq_cst);
    if (GR_LIKELY(!atomic_load_explicit(&g->examined, memory_order_acquire)))
      break;
    // Somebody reads it, or is about to: it does not run meanwhile.
    atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
    while (atomic_load_explicit(&g->examined, memory_order_acquire))
      gr_cpu_relax();
  }
  atomic_store_explicit(&w->g, g, memory_order_relaxed);
  gr_context_switch(&w->context, &g->context);
}

// The goroutine has been switched away from: does what it asked for.
static void finish_switch(gr_worker *w) {
  gr_goroutine *g = atomic_load_explicit(&w->g, memory_order_relaxed);
  atomic_store_explicit(&w->g, NULL, memory_order_relaxed);
  atomic_store_explicit(&w->blocking, false, memory_order_relaxed);
  if (g->stack)
    GR_ASSERT(gr_stack_is_intact(g->stack));
  w->commit(g, w->commit_arg);
}

// On a host's thread this begins with main switching away.
void gr_sched_loop(gr_worker *w) {
  for (;;) {
    if (atomic_load_explicit(&w->g, memory_order_relaxed))
      finish_switch(w);
    gr_goroutine *g = gr_sched_next(w);
    if (!g)
      return;
    run(w, g);
  }
}

void gr_sched_init(void) {
  gr_sched *s = &gr_the_sched;
  fifo_init(&s->woken);
  fifo_init(&s->global);
  gr_list_init(&s->workers);
  gr_list_init(&s->goroutines);
  s->idle_processors = NULL;
  s->idle_workers = NULL;
  s->without_processor = 0;
  atomic_store(&s->idle_count, 0);
  atomic_store(&s->searching, 0);
  atomic_store(&s->stopping, false);
  atomic_store(&s->slice_ns, 10000000);
}
