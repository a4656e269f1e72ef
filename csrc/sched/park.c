// SPDX-License-Identifier: MIT
// Parking, giving way and waking. Called by running goroutines; what is to be
// done once they are off their stacks is a commit, on the scheduler's.
#include <lua.h>
#include <sched.h>

#include "sched/fetch.h"
#include "sched/monitor.h"
#include "sched/pin.h"
#include "sched/sched.h"
#include "sched/tracer.h"

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
// processor is idle while a next slot stays full. New goroutines are counted
// apart, and are waited for less: one that is started by who goes on computing
// may take long, and the start itself is so dear that a waking adds little.
enum { READY_PATIENCE_MAX = 4096, START_PATIENCE_MAX = 64 };

static void wake_for_next(gr_patience *at, unsigned max) {
  unsigned patience = atomic_load_explicit(&at->patience, memory_order_relaxed);
  if (at->quiet_turns > 0 && patience > 0) {
    at->quiet_turns--;
    return;
  }
  at->quiet_turns = patience;
  if (patience < max)
    atomic_store_explicit(&at->patience, 2 * patience + 1,
                          memory_order_relaxed);
  gr_wake_processor();
}

// What was in the next slot has to wait. Beside goroutines that compute it goes
// before them: in the queue it would wait for their slices.
static void displace(gr_processor *p, gr_goroutine *g) {
  if (GR_LIKELY(gr_nobody_computes()) || gr_is_patient(g))
    gr_push_local(p, g);
  else
    gr_push_shared(&gr_the_sched.displaced, g);
}

static void ready(gr_goroutine *g, bool is_new) {
  gr_worker *w = gr_worker_self();
  gr_processor *p =
      w ? atomic_load_explicit(&w->p, memory_order_relaxed) : NULL;
  mark_runnable(g);
  const gr_tracer *tracer = gr_tracer_now();
  if (GR_UNLIKELY(tracer != NULL) && w)
    tracer->wakes(w, g);
  if (g->bound && g->bound != w) {
    gr_ready_bound(g);
    return;
  }
  if (p) {
    gr_goroutine *displaced = gr_runq_set_next(&p->runq, g);
    if (!displaced) {
      if (is_new)
        wake_for_next(&p->start_patience, START_PATIENCE_MAX);
      else
        wake_for_next(&p->ready_patience, READY_PATIENCE_MAX);
      return;
    }
    displace(p, displaced);
  } else {
    gr_push_shared(&gr_the_sched.woken, g);
  }
  gr_wake_processor();
}

void gr_ready(gr_goroutine *g) {
  ready(g, false);
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

// To wake another worker takes 50 us, and as much CPU. One that takes short
// turns has run some by then; if it happens to get a long one, the monitor sees
// that. And deadlines that a processor lets come together, it lets wait for as
// long.
static bool copes(gr_processor *p, unsigned waiting, bool expired) {
  enum { ALONE_NS = 300000, LOOK_NS = 2000000 };
  if (!atomic_load_explicit(&gr_the_sched.idle_count, memory_order_relaxed))
    return true; // nobody is there to be woken
  if (waiting <= 1 &&
      !atomic_load_explicit(&p->runq.next, memory_order_relaxed))
    return true; // that is what it takes next
  uint64_t alone_ns = ALONE_NS + (expired ? p->company_ns : 0);
  if (waiting * gr_turn_ns(p) > alone_ns || !gr_nobody_computes())
    return false;
  gr_monitor_expect_within(LOOK_NS);
  return true;
}

static unsigned ready_list(gr_goroutine *list, bool idle, bool expired) {
  gr_worker *w = gr_worker_self();
  gr_processor *p =
      idle ? atomic_load_explicit(&w->p, memory_order_relaxed) : NULL;
  gr_goroutine *shared = NULL, *next;
  unsigned count = 0;
  for (gr_goroutine *g = list; g; g = next, count++) {
    next = g->next; // ours until it is runnable
    mark_runnable(g);
    gr_fetch(g);
    if (g->bound && g->bound != w) {
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
  unsigned waiting = gr_count_woken(&gr_the_sched);
  gr_lock_unlock(&gr_the_sched.lock);
  bool has_it = p && atomic_load_explicit(&w->p, memory_order_relaxed) == p;
  if (!has_it ||
      !copes(p, waiting, expired)) // else given to a bound one's worker
    gr_wake_processor();
  return count;
}

unsigned gr_ready_events(gr_goroutine *list, bool idle) {
  return ready_list(list, idle, false);
}

void gr_ready_expired(gr_goroutine *list) {
  ready_list(list, gr_worker_self() != NULL, true);
}

void gr_start(gr_goroutine *g) {
  ready(g, true);
}

// --- switching away ---

// For a goroutine that has foreign C code: below a function of that it
// is bound to its thread until it goes on. Any waker sees that, since it is
// there before commit. (No such code runs on the thread of a main.)
static GR_NOINLINE void switch_away_foreign(gr_worker *w, gr_goroutine *g) {
  bool pins = !g->bound && !w->main && gr_pin_is_under_foreign(g);
  if (pins) {
    g->bound = w;
    w->runs_bound_only = true;
  }
  gr_context_switch(&g->context, &w->context);
  if (pins) {
    g->bound = NULL;
    w->runs_bound_only = false;
  }
}

// Leaves the running goroutine's stack; the scheduler then calls commit.
static void switch_away(gr_commit commit, void *arg) {
  gr_worker *w = gr_worker_self();
  gr_goroutine *g = atomic_load_explicit(&w->g, memory_order_relaxed);
  w->commit = commit;
  w->commit_arg = arg;
  if (GR_UNLIKELY(g->has_c_modules))
    switch_away_foreign(w, g);
  else
    gr_context_switch(&g->context, &w->context);
}

typedef struct park {
  uint64_t deadline_ns;
  gr_commit commit;
  void *arg;
} park;

// The wait has been opened. Pairs with the barrier of whoever cancels.
static bool is_cancelled(gr_goroutine *g) {
  atomic_signal_fence(memory_order_seq_cst);
  if (GR_UNLIKELY(gr_enter_needs_fence))
    atomic_thread_fence(memory_order_seq_cst);
  unsigned struck = atomic_load_explicit(&g->struck, memory_order_relaxed);
  return (struck & (GR_STRUCK_CANCEL | GR_STRUCK_END)) &&
         ((struck ^ g->ignored) & ~(unsigned)GR_STRUCK_CPU);
}

static bool cancel_wait(gr_goroutine *g) {
  unsigned word = atomic_load(&g->claim);
  bool ends = atomic_load(&g->struck) & GR_STRUCK_END;
  return (word & GR_CLAIM_MASK) == GR_CLAIM_OPEN &&
         gr_wait_claim(g, word, ends ? GR_CLAIM_STOPPED : GR_CLAIM_CANCEL);
}

static void ignore(unsigned but_for) {
  gr_goroutine *g =
      atomic_load_explicit(&gr_worker_self()->g, memory_order_relaxed);
  unsigned struck = atomic_load_explicit(&g->struck, memory_order_relaxed);
  g->ignored = struck & ~but_for;
}

void gr_wait_ignore_cancel(void) {
  ignore(GR_STRUCK_END);
}

void gr_wait_ignore_all(void) {
  ignore(0);
}

// Whoever has claimed its wait need not have seen it off its stack.
void gr_wait_until_parked(gr_goroutine *g) {
  for (unsigned n = 0;
       atomic_load_explicit(&g->status, memory_order_acquire) == GR_RUNNING &&
       !atomic_load_explicit(&gr_the_sched.stopping, memory_order_relaxed);
       n++)
    if (n < 100)
      gr_cpu_relax();
    else
      sched_yield();
}

// One that opens its wait later sees that it is struck itself.
bool gr_wait_cancel(gr_goroutine *g) {
  if (!cancel_wait(g))
    return false;
  gr_wait_until_parked(g);
  return true;
}

// `p` lies on the stack of g, which may go on as soon as it is known to wait
// and its objects are let go; what is needed after that has been read before.
// So the deadline is set first. Whoever finds it expired waits for the status.
static void commit_park(gr_goroutine *g, void *arg) {
  park *p = arg;
  gr_commit commit = p->commit;
  void *commit_arg = p->arg;
  bool failed = false;
  if (p->deadline_ns != GR_NEVER) {
    gr_processor *own =
        atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
    gr_ticket ticket = atomic_load_explicit(&g->claim, memory_order_relaxed) &
                       ~(gr_ticket)GR_CLAIM_MASK;
    g->deadline.g = g;
    g->deadline.ticket = ticket;
    failed = !gr_deadline_set(&own->deadlines, &g->deadline, p->deadline_ns) &&
             gr_wait_claim(g, ticket, GR_CLAIM_NOMEM);
  }
  // release: whoever wins the claim sees g off its stack
  atomic_store_explicit(&g->status, GR_WAITING, memory_order_release);
  if (commit)
    commit(g, commit_arg);
  if (GR_UNLIKELY(failed)) // then nobody else makes it runnable
    gr_ready(g);
}

void gr_park(gr_wait_kind kind, const void *object, uint64_t deadline_ns,
             gr_commit commit, void *arg) {
  gr_goroutine *g = gr_self();
  if (gr_is_apart()) { // nobody is there to wake it, or to run anything
    gr_wait_claim(g, atomic_load(&g->claim), GR_CLAIM_STOPPED);
    if (commit)
      commit(g, arg);
    return;
  }
  if (GR_UNLIKELY(is_cancelled(g)) && cancel_wait(g)) {
    if (commit)
      commit(g, arg);
    return;
  }
  park p = {deadline_ns, commit, arg};
  if (g->is_main && g->L)
    atomic_store_explicit(&g->hook_at_park, (uintptr_t)lua_gethook(g->L),
                          memory_order_relaxed);
  atomic_store_explicit(&g->wait_kind, kind, memory_order_relaxed);
  atomic_store_explicit(&g->wait_is_timed, deadline_ns != GR_NEVER,
                        memory_order_relaxed);
  g->wait_object = object;
  g->wait_since_ns = gr_coarse_now();
  switch_away(commit_park, &p);
  // Which has fired, it was taken out before.
  if (deadline_ns != GR_NEVER && gr_wait_reason(g) != GR_CLAIM_TIMEOUT)
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
         gr_count_woken(&gr_the_sched) ||
         atomic_load_explicit(&p->runq.next, memory_order_relaxed) ||
         gr_runq_count(&p->runq) != 0 ||
         atomic_load_explicit(&w->bound_ready, memory_order_relaxed);
}

void gr_yield(void) {
  if (gr_is_apart())
    return;
  gr_worker *w = gr_worker_self();
  // An elapsed deadline counts as somebody to give way to.
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  gr_look_for_expired(p);
  if (gr_others_wait(w))
    switch_away(commit_yield, NULL);
}

void gr_leave_surplus(void) {
  gr_processor *p =
      atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
  if (p->id >= atomic_load(&gr_the_sched.procs))
    switch_away(commit_yield, NULL);
}

static void commit_preempted(gr_goroutine *g, void *arg) {
  commit_yield(g, arg);
}

// Behind what was woken, it goes on with what is left of its slice. A processor
// that goes idle meanwhile finds it.
static void commit_make_way(gr_goroutine *g, void *arg) {
  gr_worker *w = arg;
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
  gr_goroutine *displaced = gr_runq_set_next(&p->runq, g);
  if (displaced)
    gr_push_local(p, displaced);
}

// The slice is over, or somebody woken is to run, also for what would inherit
// it: a chain of goroutines that start the next one each would go on in it for
// ever. If that is not new, and has been woken by this one, it gets a little.
static void disinherit(gr_processor *p, gr_goroutine *heir, uint64_t had_ns) {
  uint64_t slice_ns =
      atomic_load_explicit(&gr_the_sched.slice_ns, memory_order_relaxed);
  bool waits_its_turn = gr_is_patient(heir);
  heir->had_ns = had_ns || waits_its_turn ? had_ns : slice_ns - slice_ns / 10;
  if (waits_its_turn)
    gr_push_local(p, heir);
  else
    gr_push_shared(&gr_the_sched.woken, heir);
}

// What it had while nobody waited does not count: the monitor sees those who do
// within a millisecond.
static void owe(gr_processor *p, uint64_t ns) {
  enum { OWED_MAX_NS = 1000000 };
  p->owes_until_ns = gr_now_ns() + (ns < OWED_MAX_NS ? ns : OWED_MAX_NS);
}

void gr_leave_slow(gr_worker *w) {
  if (gr_is_apart()) { // a request from before
    atomic_store_explicit(&w->preempt, 0, memory_order_relaxed);
    atomic_store_explicit(&w->in_runtime, false, memory_order_release);
    return;
  }
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  gr_goroutine *heir = gr_runq_pop_next(&p->runq);
  atomic_thread_fence(memory_order_acquire); // had_ns is that of `preempt`
  uint64_t had_ns = atomic_load_explicit(&w->had_ns, memory_order_relaxed);
  gr_goroutine *g = gr_self();
  g->had_ns = had_ns;
  atomic_store_explicit(&g->computed_since, gr_last_ticket(g),
                        memory_order_relaxed);
  if (heir)
    disinherit(p, heir, had_ns);
  atomic_store_explicit(&w->preempt, 0, memory_order_relaxed);
  atomic_fetch_add_explicit(&gr_the_sched.preemptions, 1, memory_order_relaxed);
  bool others_are_free = atomic_load(&gr_the_sched.idle_count) > 0 ||
                         atomic_load(&gr_the_sched.searching) > 0;
  if (had_ns)
    owe(p, had_ns - w->rest_of_ns);
  if (had_ns && !others_are_free)
    switch_away(commit_make_way, w);
  else
    switch_away(commit_preempted, NULL);
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
  gr_monitor_expect_woken();
}

void gr_enter_slow(gr_worker *w) {
  if (gr_is_apart())
    return;
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
  if (!w->main || g->bound || gr_is_apart())
    return;
  bool was_foreign = atomic_exchange(&g->foreign, true);
  switch_away(commit_leave_main, NULL);
  atomic_store(&g->foreign, was_foreign);
}

gr_leaving gr_why_it_leaves(const gr_worker *w, gr_goroutine *g) {
  if (atomic_load_explicit(&g->status, memory_order_relaxed) == GR_DONE)
    return GR_LEAVES_AT_END;
  if (w->commit == commit_park)
    return GR_LEAVES_TO_WAIT;
  if (w->commit == commit_yield)
    return GR_LEAVES_TO_YIELD;
  if (w->commit == commit_preempted || w->commit == commit_make_way)
    return GR_LEAVES_PREEMPTED;
  return GR_LEAVES_TO_MOVE;
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
