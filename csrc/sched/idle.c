// SPDX-License-Identifier: MIT
// Going idle and being woken. The danger is work that lies in a queue while
// everybody sleeps. The two sides:
//
//   waker:  queue the work,           full barrier, look for idle processors
//   idler:  announce itself as idle,  full barrier, look at every queue again
//
// One of them sees the other. A waker does nothing while somebody searches: a
// searcher that finds work and was the last one wakes another; one that finds
// nothing first stops being counted and then looks at every queue again. Every
// idler looks again, whether it has searched or not, so that a waker that saw
// no idle processor because this one was on its way is not lost either.
#include "sched/sched.h"

#include "sched/monitor.h"
#include "sched/preempt.h"

enum {
  SEARCH_NS = 50000, // how long to look before going to sleep, at most,
  SEARCH_LESS = 5,   // and by how many powers of two less, at least
  WAKING_NS = 50000, // what it takes to be woken
  RIPE_NS = 15000,   // what stays in a next slot for so long may be stolen
  COMPANY = 8,       // so many deadlines between two sleeps are many,
  DENSE_NS = 200000, // if they are no further from each other
  COMPANY_MIN_NS = 100000,
  COMPANY_MAX_NS = 1200000,
};

// --- waking ---

// Has an idle processor look for work: wakes the worker that sleeps with it,
// or gives it one. It is out of the idle list.
static void rouse(gr_processor *p, bool sleeps) {
  if (sleeps) {
    gr_loop_wake(&p->loop);
  } else {
    gr_handoff(p, true);
    gr_monitor_busy();
  }
}

void gr_wake_processor(void) {
  gr_sched *s = &gr_the_sched;
  atomic_thread_fence(memory_order_seq_cst); // see the head of this file
  if (atomic_load_explicit(&s->idle_count, memory_order_relaxed) == 0)
    return;
  unsigned none = 0;
  if (atomic_load_explicit(&s->searching, memory_order_relaxed) != 0 ||
      !atomic_compare_exchange_strong(&s->searching, &none, 1))
    return;
  gr_lock_lock(&s->lock);
  gr_processor *p = s->idle_processors;
  bool sleeps = false;
  if (p) {
    gr_remove_idle_locked(p);
    sleeps = p->worker != NULL;
    p->woken_to_search = sleeps;
  }
  gr_lock_unlock(&s->lock);
  if (p)
    rouse(p, sleeps);
  else
    atomic_fetch_sub(&s->searching, 1);
}

void gr_handoff(gr_processor *p, bool to_search) {
  gr_sched *s = &gr_the_sched;
  atomic_fetch_add_explicit(&s->handoffs, 1, memory_order_relaxed);
  gr_lock_lock(&s->lock);
  gr_worker *w = s->idle_workers;
  if (w) {
    s->idle_workers = w->next_idle;
    w->searching = to_search;
    gr_attach_locked(w, p);
  }
  gr_lock_unlock(&s->lock);
  if (w) {
    uv_sem_post(&w->handed);
    return;
  }
  if (gr_worker_start(p, to_search))
    return;
  // No thread to be had: whoever goes idle or wakes somebody tries again.
  if (to_search)
    atomic_fetch_sub(&s->searching, 1);
  gr_lock_lock(&s->lock);
  s->wants_thread = true;
  gr_add_idle_locked(p);
  gr_lock_unlock(&s->lock);
}

void gr_wait_for_processor(gr_worker *w) {
  gr_sched *s = &gr_the_sched;
  gr_goroutine *victim = NULL;
  bool queued = false;
  uint64_t now_ns = gr_now_ns();
  // It leaves without having looked at every queue again, and while it counted
  // as one who searches, nobody was woken.
  if (w->searching)
    gr_stop_searching(w, true);
  gr_lock_lock(&s->lock);
  s->between -= w->is_between;
  w->is_between = false;
  if (w->scheduler_stack && !w->main)
    gr_preempt_unblock(); // main went on elsewhere, and the signals with it
  if (!atomic_load(&s->stopping)) {
    gr_goroutine *g = atomic_load(&w->bound_ready);
    if (g) {
      atomic_store(&w->bound_ready, NULL);
      gr_fifo_push(&s->woken, g);
      queued = true;
    }
    // A host's thread, or one that serves one goroutine only, gets its
    // processor from whoever readies that goroutine.
    victim = gr_deadlock_check_locked(); // its processor was one too many
    w->awaits_processor = w->main || w->runs_bound_only;
    if (!w->awaits_processor) {
      w->idle_since_ns = now_ns;
      w->next_idle = s->idle_workers;
      s->idle_workers = w;
      queued |= s->wants_thread; // this one can have what got none
      s->wants_thread = false;
    }
  }
  gr_lock_unlock(&s->lock);
  if (victim)
    gr_ready_woken(victim);
  if (queued) {
    gr_wake_processor();
    gr_monitor_expect_woken();
  }
  gr_monitor_expect(now_ns + GR_RETIRE_NS);
  if (!atomic_load(&s->stopping))
    uv_sem_wait(&w->handed);
}

// --- searching ---

void gr_stop_searching(gr_worker *w, bool wakes) {
  w->searching = false;
  bool last = atomic_fetch_sub(&gr_the_sched.searching, 1) == 1;
  if (wakes && last)
    gr_wake_processor();
}

// A goroutine seen in a next slot, which its processor did not take meanwhile.
typedef struct sighting {
  gr_processor *p;
  gr_goroutine *g;
  unsigned turns;
  uint64_t since_ns;
} sighting;

// Steals from a next slot only what has been there for a while: partners that
// take turns on a processor are better left together.
static gr_goroutine *steal_ripe(gr_processor *from, sighting *seen,
                                uint64_t now_ns) {
  gr_goroutine *g =
      atomic_load_explicit(&from->runq.next, memory_order_acquire);
  unsigned turns = atomic_load_explicit(&from->turns, memory_order_relaxed);
  if (!g)
    return NULL;
  if (seen->p != from || seen->g != g || seen->turns != turns) {
    if (seen->p == from || now_ns - seen->since_ns > RIPE_NS * 2)
      *seen = (sighting){from, g, turns, now_ns};
    return NULL;
  }
  if (now_ns - seen->since_ns < RIPE_NS || !gr_runq_steal_next(&from->runq, g))
    return NULL;
  atomic_store_explicit(&from->ready_patience.patience, 0,
                        memory_order_relaxed);
  atomic_store_explicit(&from->start_patience.patience, 0,
                        memory_order_relaxed);
  return g;
}

static gr_goroutine *steal(gr_processor *self, sighting *seen,
                           uint64_t now_ns) {
  gr_sched *s = &gr_the_sched;
  unsigned made =
      atomic_load_explicit(&s->processors_made, memory_order_acquire);
  unsigned start = gr_random_below(&self->random, made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *from = atomic_load_explicit(
        &s->processors[(start + i) % made], memory_order_acquire);
    if (from == self)
      continue;
    gr_goroutine *g = gr_runq_steal(&self->runq, &from->runq);
    if (!g)
      g = steal_ripe(from, seen, now_ns);
    if (g) {
      atomic_fetch_add_explicit(&s->steals, 1, memory_order_relaxed);
      return g;
    }
  }
  return NULL;
}

static bool has_shared_work(gr_worker *w) {
  gr_sched *s = &gr_the_sched;
  return gr_count_woken(s) ||
         atomic_load_explicit(&s->global.count, memory_order_relaxed) ||
         atomic_load_explicit(&w->bound_ready, memory_order_relaxed) ||
         atomic_load_explicit(&s->stopping, memory_order_relaxed);
}

// At most half of the processors that are not idle search at the same time, and
// none that awaits descriptors while all others are idle: there is nothing to
// steal, and an event ends a sleep, but not a search.
static bool start_searching(gr_worker *w, gr_processor *p) {
  gr_sched *s = &gr_the_sched;
  if (w->searching)
    return true;
  unsigned procs = atomic_load(&s->procs), idle = atomic_load(&s->idle_count);
  unsigned busy = procs > idle ? procs - idle : 0;
  if (2 * atomic_load(&s->searching) >= busy ||
      (busy == 1 &&
       atomic_load_explicit(&p->poller.is_used, memory_order_relaxed)))
    return false;
  atomic_fetch_add(&s->searching, 1);
  w->searching = true;
  return true;
}

// A search pays where work comes while it lasts, or would have come had it
// lasted for longer. Where it does not, it is half as long the next time: who
// sleeps for some deadline every tenth of a millisecond would search for half
// of the time.
static void note_search(gr_processor *p, bool pays) {
  if (pays)
    p->searches_less = 0;
  else if (p->searches_less < SEARCH_LESS)
    p->searches_less++;
}

// Looks at all queues, and for a while longer if it may; but not by itself if
// it looks again soon, after a sleep for several deadlines. NULL also when
// there is something in a queue that everybody may take from; *woken when an
// event has made something runnable: the processor may be another worker's
// then.
static gr_goroutine *search(gr_worker *w, gr_processor *p, bool *woken) {
  sighting seen = {0};
  gr_goroutine *g = NULL;
  bool is_asked = w->searching;
  bool patient = is_asked || (p->company_ns == 0 && start_searching(w, p));
  uint64_t now_ns = gr_now_ns();
  uint64_t end_ns =
      now_ns + (is_asked ? SEARCH_NS : SEARCH_NS >> p->searches_less);
  do {
    if ((g = steal(p, &seen, now_ns)))
      break;
    for (int i = 0; i < 20 && !has_shared_work(w); i++)
      gr_cpu_relax();
    *woken = patient && gr_poller_collect(&p->poller, true);
    now_ns = gr_now_ns();
  } while (patient && !*woken && !has_shared_work(w) && now_ns < end_ns &&
           gr_deadlines_earliest(&p->deadlines) > now_ns);
  bool has_it = atomic_load_explicit(&w->p, memory_order_relaxed) == p;
  if (patient && !is_asked && has_it)
    note_search(p, g || *woken || has_shared_work(w));
  return g;
}

// --- sleeping ---

// True if any queue has something in it. What is in a next slot counts only if
// its processor does not take it while it would become ripe.
static bool sees_work(gr_worker *w, gr_processor *self) {
  gr_sched *s = &gr_the_sched;
  if (has_shared_work(w))
    return true;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    if (p == self)
      continue;
    if (gr_runq_count(&p->runq))
      return true;
    unsigned turns = atomic_load(&p->turns);
    if (!atomic_load(&p->runq.next))
      continue;
    uint64_t end_ns = gr_now_ns() + RIPE_NS;
    while (gr_now_ns() < end_ns && atomic_load(&p->turns) == turns)
      gr_cpu_relax();
    if (atomic_load(&p->turns) == turns && atomic_load(&p->runq.next))
      return true;
  }
  return false;
}

// Puts p into the idle list, unless there is something to do after all. If
// this was the last one, looks for a deadlock; *victim is then to be readied.
static bool announce(gr_worker *w, gr_processor *p, gr_goroutine **victim) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  bool idle = !has_shared_work(w) && p->id < atomic_load(&s->procs);
  if (idle) {
    gr_add_idle_locked(p);
    *victim = gr_deadlock_check_locked();
  }
  gr_lock_unlock(&s->lock);
  return idle;
}

// The processor is in use again, by whatever it was woken. True if it is to
// search.
static bool withdraw(gr_worker *w, gr_processor *p) {
  gr_lock_lock(&gr_the_sched.lock);
  bool searches = p->woken_to_search;
  if (p->is_idle)
    gr_remove_idle_locked(p);
  else if (searches)
    w->searching = true; // counted by the waker
  p->woken_to_search = false;
  gr_lock_unlock(&gr_the_sched.lock);
  return searches;
}

static unsigned turns_awake(const gr_processor *p) {
  return atomic_load_explicit(&p->turns, memory_order_relaxed) - p->slept_turns;
}

// What turns take since it last slept, or took before; long ones for a while.
uint64_t gr_turn_ns(const gr_processor *p) {
  enum { FEW = 4 };
  unsigned turns = turns_awake(p);
  if (turns < FEW)
    return p->turn_ns;
  uint64_t turn_ns = (gr_now_ns() - p->slept_at_ns) / turns;
  return turn_ns > p->turn_ns ? turn_ns : p->turn_ns;
}

static void note_turns(gr_processor *p, uint64_t now_ns) {
  unsigned turns = turns_awake(p);
  if (turns == 0)
    return;
  uint64_t turn_ns = (now_ns - p->slept_at_ns) / turns;
  if (turn_ns > GR_LONG_TURN_NS) // also before the first sleep
    turn_ns = GR_LONG_TURN_NS;
  p->turn_ns =
      turn_ns > p->turn_ns ? turn_ns : p->turn_ns - (p->turn_ns - turn_ns) / 4;
}

static void note_sleep(gr_processor *p) {
  p->slept_at_ns = gr_now_ns();
  p->slept_turns = atomic_load_explicit(&p->turns, memory_order_relaxed);
  atomic_store_explicit(&gr_the_sched.coarse_now_ns, p->slept_at_ns,
                        memory_order_relaxed);
}

// Where deadlines come close behind each other, each sleep is for several: to
// sleep and be woken takes as long as ten goroutines. Who has fired many since
// the last time, for quick ones, lets the next one wait longer, up to
// COMPANY_MAX_NS.
static uint64_t wake_at(gr_processor *p) {
  uint64_t now_ns = gr_now_ns();
  uint64_t earliest_ns = gr_deadlines_earliest(&p->deadlines);
  note_turns(p, now_ns);
  bool dense =
      p->fired >= COMPANY && now_ns - p->slept_at_ns <= p->fired * DENSE_NS;
  if (p->fired < COMPANY / 2 || p->turn_ns > GR_QUICK_TURN_NS)
    p->company_ns /= 2;
  else if (dense)
    p->company_ns = p->company_ns ? 2 * p->company_ns : COMPANY_MIN_NS;
  if (p->company_ns > COMPANY_MAX_NS)
    p->company_ns = COMPANY_MAX_NS;
  p->fired = 0;
  if (p->company_ns < COMPANY_MIN_NS || earliest_ns == GR_NEVER)
    p->company_ns = 0;
  uint64_t at_ns = now_ns + p->company_ns;
  return earliest_ns > at_ns ? earliest_ns : at_ns;
}

gr_goroutine *gr_idle(gr_worker *w) {
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  p->slept_turns++; // this was none
  if (gr_look_for_expired(p) || gr_poller_collect(&p->poller, true))
    return NULL;
  gr_goroutine *g = NULL;
  bool woken = false;
  if (atomic_load_explicit(&gr_the_sched.processors_made,
                           memory_order_relaxed) > 1)
    g = search(w, p, &woken);
  if (g || woken || has_shared_work(w))
    return g;

  gr_goroutine *victim = NULL;
  uint64_t since_ns = gr_now_ns();
  if (w->searching)
    gr_stop_searching(w, false);
  if (!announce(w, p, &victim))
    return NULL;
  atomic_thread_fence(memory_order_seq_cst);
  if (!victim && sees_work(w, p))
    p->company_ns = p->searches_less = 0; // it is to search until it has that
  else if (!victim)
    gr_loop_run(&p->loop, wake_at(p));
  bool searches = withdraw(w, p);
  note_sleep(p);
  if (searches && p->slept_at_ns - since_ns < SEARCH_NS + WAKING_NS)
    note_search(p, true);
  if (victim)
    gr_ready_woken(victim);
  gr_look_for_expired(p);
  gr_poller_collect(&p->poller, true);
  gr_monitor_busy();
  return NULL;
}
