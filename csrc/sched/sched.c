// SPDX-License-Identifier: MIT
// Queues, and choosing what runs next.
//
// Order in which a worker takes goroutines: its bound one; woken by time or
// events, or displaced, in turn; the next slot (which inherits the slice); its
// ring; the global queue; other processors. Every 61st slice begins with the
// global queue, so that what is made runnable here without end cannot hide it;
// and in every 8th what is woken comes after the processor's own, for the same
// reason.
#include "sched/sched.h"

#include "sched/examine.h"
#include "sched/fetch.h"
#include "sched/monitor.h"
#include "sched/preempt.h"
#include "sched/tracer.h"

gr_sched gr_the_sched = {.lock = GR_LOCK_STATIC(GR_RANK_SCHED)};

// --- queues ---

static void fifo_init(gr_fifo *q) {
  q->first = NULL;
  q->end = &q->first;
  atomic_init(&q->count, 0);
}

// Under the lock, as all that has to know it for certain: whoever announces
// itself as idle does so under that lock, too, so that it sees what was pushed
// before, or who pushes later sees it among the idle ones.
static void change_count(gr_fifo *q, int change) {
  unsigned count = atomic_load_explicit(&q->count, memory_order_relaxed);
  atomic_store_explicit(&q->count, count + (unsigned)change,
                        memory_order_relaxed);
}

void gr_fifo_push(gr_fifo *q, gr_goroutine *g) {
  g->next = NULL;
  *q->end = g;
  q->end = &g->next;
  change_count(q, 1);
}

gr_goroutine *gr_fifo_pop(gr_fifo *q) {
  gr_goroutine *g = q->first;
  if (!g)
    return NULL;
  q->first = g->next;
  if (!q->first)
    q->end = &q->first;
  change_count(q, -1);
  return g;
}

void gr_push_shared(gr_fifo *q, gr_goroutine *g) {
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

void gr_push_local(gr_processor *p, gr_goroutine *g) {
  if (!gr_runq_push(&p->runq, g))
    overflow(p, g);
}

// --- the scheduler's loop ---

static gr_goroutine *take_shared(gr_fifo *q) {
  if (!gr_fifo_has_any(q))
    return NULL;
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *g = gr_fifo_pop(q);
  if (q->first)
    gr_fetch_ahead(q->first); // likely the next turn's
  gr_lock_unlock(&gr_the_sched.lock);
  return g;
}

// The two queues take turns.
static gr_goroutine *take_woken(gr_processor *p) {
  gr_sched *s = &gr_the_sched;
  if (GR_LIKELY(!gr_count_woken(s)))
    return NULL;
  bool displaced_first = p->displaced_first = !p->displaced_first;
  gr_goroutine *g = take_shared(displaced_first ? &s->displaced : &s->woken);
  if (!g)
    g = take_shared(displaced_first ? &s->woken : &s->displaced);
  return g;
}

// Takes one from the global queue, and this processor's share into its ring.
static gr_goroutine *take_global(gr_processor *p) {
  if (!gr_fifo_has_any(&gr_the_sched.global))
    return NULL;
  gr_lock_lock(&gr_the_sched.lock);
  gr_fifo *q = &gr_the_sched.global;
  unsigned count = atomic_load_explicit(&q->count, memory_order_relaxed);
  unsigned procs =
      atomic_load_explicit(&gr_the_sched.procs, memory_order_relaxed);
  gr_goroutine *g = gr_fifo_pop(q);
  unsigned room = GR_RUNQ_ROOM - gr_runq_count(&p->runq);
  for (unsigned i = 2;
       i * procs <= count && i <= GR_RUNQ_ROOM / 2 && i - 2 < room; i++) {
    gr_goroutine *more = gr_fifo_pop(q);
    if (!more)
      break;
    bool fits = gr_runq_push(&p->runq, more);
    GR_ASSERT(fits); // nobody else fills it
  }
  gr_lock_unlock(&gr_the_sched.lock);
  return g;
}

// A ring that is never empty and has no room takes few in from the global
// queue. If that is long for it, then true in so many turns that whoever lies
// there waits no longer than what lies in the ring.
static bool is_turn_of_global(gr_processor *p) {
  gr_sched *s = &gr_the_sched;
  unsigned count = atomic_load_explicit(&s->global.count, memory_order_relaxed);
  if (GR_LIKELY(count <= GR_RUNQ_ROOM / 2))
    return false;
  unsigned share =
      count / atomic_load_explicit(&s->procs, memory_order_relaxed);
  unsigned in_ring = gr_runq_count(&p->runq), all = share + in_ring;
  if (share <= GR_RUNQ_ROOM / 2 || in_ring == 0) // several are taken then
    return false;
  p->owed += share;
  if (p->owed < all)
    return false;
  p->owed = p->owed - all < share ? p->owed - all : share;
  return true;
}

// How much of the present slice is over; never 0. The monitor, which looks
// twice a slice, may not have seen it yet.
static uint64_t had_of_slice(gr_worker *w) {
  uint64_t since_ns = atomic_load_explicit(&w->begin_ns, memory_order_relaxed);
  if (!since_ns && atomic_load_explicit(&w->seen_slice, memory_order_acquire) ==
                       atomic_load_explicit(&w->slice, memory_order_relaxed))
    since_ns = atomic_load_explicit(&w->seen_since_ns, memory_order_relaxed);
  if (since_ns)
    return gr_now_ns() - since_ns + 1;
  return atomic_load_explicit(&gr_the_sched.slice_ns, memory_order_relaxed) / 4;
}

// Something woken goes ahead of what would inherit the slice, which gets the
// rest afterwards and not a new one.
static void keep_rest(gr_worker *w, gr_processor *p) {
  gr_goroutine *heir = gr_runq_pop_next(&p->runq);
  if (!heir)
    return;
  if (!heir->had_ns)
    heir->had_ns = had_of_slice(w);
  gr_runq_set_next(&p->runq, heir);
}

// What inherits the slice, and has not been made to give way.
static gr_goroutine *pop_heir(gr_processor *p) {
  gr_goroutine *heir = gr_runq_pop_next(&p->runq);
  if (!heir || !heir->had_ns)
    return heir;
  gr_runq_set_next(&p->runq, heir);
  return NULL;
}

bool gr_look_for_expired(gr_processor *p) {
  uint64_t earliest_ns = gr_deadlines_earliest(&p->deadlines);
  if (GR_LIKELY(earliest_ns == GR_NEVER))
    return false;
  uint64_t now_ns = gr_now_ns();
  atomic_store_explicit(&p->looked_at_ns, now_ns, memory_order_relaxed);
  if (earliest_ns > now_ns)
    return false;
  unsigned fired = gr_deadlines_fire(&p->deadlines, now_ns, gr_ready_expired);
  if (atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed) == p)
    p->fired += fired;
  return fired > 0;
}

// What would inherit a slice has as much of it as is left, and is not to lose
// that to the ring. But each of many woken ones may wake another heir: then, if
// none has lasted for so long, they take turns.
static bool is_turn_of_ring(gr_processor *p) {
  gr_sched *s = &gr_the_sched;
  uint64_t slice_ns = atomic_load_explicit(&s->slice_ns, memory_order_relaxed);
  bool waits = gr_coarse_now() > p->ring_at_ns + 2 * slice_ns;
  return p->ring_goes = waits && !p->ring_goes;
}

static gr_goroutine *pop_ring(gr_processor *p) {
  gr_goroutine *g = gr_runq_pop(&p->runq);
  if (g) {
    p->went_ahead = 0;
    p->ring_at_ns = gr_coarse_now();
  }
  return g;
}

enum { GLOBAL_TURN = 61, OWN_TURN = 8, LOOK_TURN = 4 };

// Who was made to give way has had its time; those for whom it was have as much
// before it goes on, if they need it. They may be a crowd with short turns, of
// which it would wait for seven.
static bool is_owed(gr_processor *p) {
  if (p->owes_until_ns && p->owes_until_ns <= gr_now_ns())
    p->owes_until_ns = 0;
  return p->owes_until_ns != 0;
}

// Somebody woken; but each eighth of the slices that begin ahead of the ring is
// left to what the processor has of its own.
static GR_NOINLINE gr_goroutine *take_ahead(gr_worker *w, gr_processor *p,
                                            bool *inherits) {
  gr_goroutine *g;
  if ((p->went_ahead + 1) % OWN_TURN != 0 || is_owed(p)) {
    if ((g = take_woken(p))) {
      p->went_ahead++;
      keep_rest(w, p);
    }
    return g;
  }
  if (!is_turn_of_ring(p))
    return NULL;
  if ((g = pop_heir(p)))
    *inherits = true; // this slice is not over
  else
    g = pop_ring(p);
  return g;
}

static gr_goroutine *take(gr_worker *w, gr_processor *p, bool *inherits) {
  gr_sched *s = &gr_the_sched;
  gr_goroutine *g = NULL;
  unsigned turns = atomic_load_explicit(&p->turns, memory_order_relaxed);
  atomic_store_explicit(&p->turns, turns + 1, memory_order_relaxed);
  *inherits = false;
  unsigned slice = atomic_load_explicit(&w->slice, memory_order_relaxed);
  bool is_turn_of_all = slice % GLOBAL_TURN == 0;
  if (turns % LOOK_TURN == 0)
    gr_look_for_expired(p);
  if (GR_UNLIKELY(is_turn_of_all))
    gr_poller_collect(&p->poller, true);
  if (GR_UNLIKELY(atomic_load_explicit(&w->p, memory_order_relaxed) != p))
    return NULL; // given to the worker of a bound goroutine
  if (GR_UNLIKELY(is_turn_of_all)) {
    if ((g = pop_heir(p)))
      *inherits = true; // this slice is not over
    else                // not one alone: each slice may put another one there
      g = take_global(p);
  }
  if (!g && GR_UNLIKELY(gr_count_woken(s)))
    g = take_ahead(w, p, inherits);
  if (!g && (g = gr_runq_pop_next(&p->runq))) {
    *inherits = true;
    if (GR_UNLIKELY(g->had_ns))
      p->went_ahead++;
  }
  if (!g && is_turn_of_global(p) && (g = take_shared(&s->global)))
    p->went_ahead = 0; // this was what is left to the processor
  if (!g)
    g = pop_ring(p);
  if (!g && (g = take_woken(p)))
    p->went_ahead++;
  if (!g)
    g = take_global(p);
  return g;
}

static void new_slice(gr_worker *w, gr_goroutine *g) {
  uint64_t begin_ns = 0;
  if (GR_UNLIKELY(g->had_ns))
    begin_ns = gr_now_ns() - g->had_ns;
  w->rest_of_ns = g->had_ns;
  g->had_ns = 0;
  atomic_store_explicit(&w->begin_ns, begin_ns, memory_order_relaxed);
  unsigned slice = atomic_load_explicit(&w->slice, memory_order_relaxed) + 1;
  // release: the monitor that sees it sees when it began
  atomic_store_explicit(&w->slice, slice ? slice : 1, memory_order_release);
}

// Its queue goes to the others. Parked, if it is one too many.
void gr_leave_processor(gr_worker *w) {
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *g = gr_runq_pop_next(&p->runq);
  if (g)
    gr_fifo_push(&gr_the_sched.global, g);
  while ((g = gr_runq_pop(&p->runq)))
    gr_fifo_push(&gr_the_sched.global, g);
  gr_detach_locked(w, p);
  if (p->id < atomic_load(&gr_the_sched.procs))
    gr_add_idle_locked(p);
  p->in_flight = false;
  gr_lock_unlock(&gr_the_sched.lock);
  gr_wake_processor();
}

// Lets another worker have the processor, to run `g` (may be NULL), ahead of
// what computes unless it does so itself.
static void pass_processor_on(gr_worker *w, gr_processor *p, gr_goroutine *g) {
  if (g && gr_has_computed(g))
    gr_push_local(p, g);
  else if (g)
    gr_push_shared(&gr_the_sched.woken, g);
  gr_lock_lock(&gr_the_sched.lock);
  gr_detach_locked(w, p);
  gr_lock_unlock(&gr_the_sched.lock);
  gr_handoff(p, false);
}

static bool may_run_here(gr_worker *w, gr_goroutine *g) {
  return !(w->main && !g->bound &&
           atomic_load_explicit(&g->foreign, memory_order_relaxed));
}

static bool is_too_many(gr_processor *p) {
  return GR_UNLIKELY(
      p->id >= atomic_load_explicit(&gr_the_sched.procs, memory_order_relaxed));
}

gr_goroutine *gr_sched_next(gr_worker *w) {
  for (;;) {
    bool inherits = false;
    gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
    if (atomic_load_explicit(&gr_the_sched.stopping, memory_order_relaxed))
      return NULL;
    if (!p) {
      gr_wait_for_processor(w);
      if (w->retires)
        return NULL;
      continue;
    }
    if (is_too_many(p)) {
      gr_leave_processor(w);
      continue;
    }
    gr_goroutine *g = NULL;
    if (GR_UNLIKELY(atomic_load_explicit(&w->bound_ready,
                                         memory_order_relaxed) != NULL)) {
      g = atomic_exchange(&w->bound_ready, NULL);
      keep_rest(w, p);
    }
    if (!g && w->runs_bound_only) {
      pass_processor_on(w, p, NULL);
      continue;
    }
    if (!g)
      g = take(w, p, &inherits);
    if (!g && atomic_load_explicit(&w->p, memory_order_relaxed))
      g = gr_idle(w);
    if (!g)
      continue;
    if (is_too_many(p)) { // since then: what was started later is not run here
      gr_push_shared(
          gr_is_patient(g) ? &gr_the_sched.global : &gr_the_sched.woken, g);
      continue;
    }
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
    if (!inherits || GR_UNLIKELY(g->had_ns))
      new_slice(w, g);
    return g;
  }
}

static bool is_limited(gr_goroutine *g) {
  return atomic_load_explicit(&g->cpu_limit_ns, memory_order_relaxed) != 0;
}

static void count_cpu(gr_goroutine *g) {
  uint64_t since = atomic_load_explicit(&g->cpu_since_ns, memory_order_relaxed);
  atomic_fetch_add_explicit(&g->cpu_used_ns, gr_thread_cpu_ns() - since,
                            memory_order_relaxed);
}

// Its family has ended: what it does next, in Lua, is to leave.
static void see_end(gr_goroutine *g) {
  atomic_store(&g->ends, true);
  if (g->current)
    gr_preempt_arm(g->current);
  for (gr_resume *r = g->resumes; r; r = r->outer)
    gr_preempt_arm(r->from);
}

// Somebody reads it, or is about to: it does not run meanwhile.
static void wait_for_readers(gr_goroutine *g) {
  atomic_store_explicit(&g->status, GR_RUNNABLE, memory_order_relaxed);
  while (atomic_load_explicit(&g->examined, memory_order_acquire) &
         ~GR_EXAMINED_END)
    gr_cpu_relax();
}

static void run(gr_worker *w, gr_goroutine *g) {
  GR_ASSERT(atomic_load_explicit(&g->status, memory_order_relaxed) ==
            GR_RUNNABLE);
  gr_monitor_watch(atomic_load_explicit(&w->p, memory_order_relaxed));
  if (GR_UNLIKELY(is_limited(g)))
    atomic_store_explicit(&g->cpu_since_ns, gr_thread_cpu_ns(),
                          memory_order_relaxed);
  // Before the barrier: whoever looks for goroutines that have not seen a mark
  // sees it here.
  atomic_store_explicit(&w->g, g, memory_order_relaxed);
  for (;;) {
    atomic_store_explicit(&g->status, GR_RUNNING, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (GR_UNLIKELY(gr_enter_needs_fence))
      atomic_thread_fence(memory_order_seq_cst);
    unsigned examined =
        atomic_load_explicit(&g->examined, memory_order_acquire);
    if (GR_LIKELY(!examined))
      break;
    if (examined == GR_EXAMINED_END) {
      see_end(g);
      break;
    }
    wait_for_readers(g);
  }
  if (GR_UNLIKELY(!g->stack && !g->is_main))
    gr_goroutine_prepare(g);
  const gr_tracer *tracer = gr_tracer_now();
  if (GR_UNLIKELY(tracer != NULL))
    tracer->runs(w, g);
  gr_context_switch(&w->context, &g->context);
}

_Atomic(const gr_tracer *) gr_the_tracer;

// The goroutine has been switched away from: does what it asked for.
static void finish_switch(gr_worker *w) {
  gr_goroutine *g = atomic_load_explicit(&w->g, memory_order_relaxed);
  atomic_store_explicit(&w->g, NULL, memory_order_relaxed);
  atomic_store_explicit(&w->blocking, false, memory_order_relaxed);
  if (GR_UNLIKELY(is_limited(g)))
    count_cpu(g);
  GR_ASSERT(gr_stack_is_intact(g->watched));
  const gr_tracer *tracer = gr_tracer_now();
  if (GR_UNLIKELY(tracer != NULL))
    tracer->leaves(w, g, gr_why_it_leaves(w, g));
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
  fifo_init(&s->displaced);
  fifo_init(&s->global);
  gr_list_init(&s->workers);
  gr_list_init(&s->families);
  gr_list_init(&s->old_families);
  s->idle_processors = NULL;
  s->idle_workers = NULL;
  s->without_processor = 0;
  atomic_store(&s->idle_count, 0);
  atomic_store(&s->searching, 0);
  atomic_store(&s->outside_waits, 0);
  atomic_store(&s->stopping, false);
  atomic_store(&s->slice_ns, 10000000);
  atomic_store(&s->coarse_now_ns, gr_now_ns());
}
