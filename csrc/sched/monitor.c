// SPDX-License-Identifier: MIT
// One round looks at each processor under the scheduler's lock, so that none
// changes hands meanwhile, and does what takes other locks afterwards.
#include "sched/monitor.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "base/pool.h"
#include "sched/barrier.h"
#include "sched/debug.h"
#include "sched/interrupt.h"
#include "sched/round.h"
#include "sched/sched.h"

enum {
  QUIET_ROUNDS = 20,      // rounds without anything running before deep sleep
  STAY_ROUNDS = 8,        // in which it waits to be due, not to be woken
  ROUND_MIN_NS = 20000,   // at most one round in this time
  EVENTS_NS = 500000,     // for so long a worker may leave events alone, or
                          // longer if its turns are quick
  FAMILIES_NS = 20000000, // between two looks for families that wait for ever
  COOL_NS = 10000000,     // between slabs whose memory goes back to the system
};

_Atomic(uint64_t) gr_monitor_wake_at = GR_NEVER;
atomic_bool gr_monitor_stays;
_Atomic(uint64_t) gr_monitor_bound_patience_ns;

static struct {
  pthread_t thread;
  gr_loop loop;
  int watch; // a set of the descriptors of processors at which nobody sleeps
  uv_poll_t watch_poll;
  uint64_t families_seen_at_ns;
  unsigned stays; // for so many rounds
  uint64_t cooled_at_ns;
} monitor;

// --- deadlines, and waits without an end ---

// Who looks at the deadlines and events of a processor besides the monitor: the
// worker that sleeps with it, one that runs goroutines, when it comes to that,
// or nobody.
typedef enum watcher { NOBODY, BUSY, SLEEPER } watcher;

static watcher watcher_of(gr_processor *p) {
  gr_lock_lock(&gr_the_sched.lock);
  watcher who = !p->worker ? NOBODY : p->is_idle ? SLEEPER : BUSY;
  gr_lock_unlock(&gr_the_sched.lock);
  return who;
}

// Where there are several families, one of them may wait for ever while others
// run.
static void end_deadlocks_of_families(void) {
  gr_sched *s = &gr_the_sched;
  gr_goroutine *victim = NULL;
  if (atomic_load(&s->family_count) < 2)
    return;
  gr_lock_lock(&s->lock);
  for (gr_link *at = s->families.head.next; at != &s->families.head && !victim;
       at = at->next)
    victim = gr_family_check_locked(GR_CONTAINER(at, gr_family, all));
  gr_lock_unlock(&s->lock);
  if (victim)
    gr_ready_woken(victim);
}

// What was fired may have made nothing runnable, and all may have gone idle
// meanwhile.
static void end_deadlock(void) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *victim = gr_deadlock_check_locked();
  gr_lock_unlock(&gr_the_sched.lock);
  if (victim)
    gr_ready_woken(victim);
}

// A worker that has taken no turn since the last time has enough to do, or no
// CPU: the next ones may come together.
static void note_firing(gr_processor *p, watcher who, uint64_t now_ns) {
  unsigned turns = atomic_load(&p->turns);
  if (turns == p->fired_turns && who == BUSY)
    atomic_store(&p->looked_at_ns, now_ns);
  p->fired_turns = turns;
}

// Runs what has expired where nobody else does.
static void fire_deadlines(gr_round *r) {
  gr_sched *s = &gr_the_sched;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    uint64_t earliest = atomic_load(&p->deadlines.earliest_ns);
    if (earliest == GR_NEVER)
      continue;
    watcher who = watcher_of(p);
    if (who == SLEEPER)
      continue;
    if (gr_monitor_due(p) <= r->now_ns) {
      atomic_fetch_add(&s->monitor_fires, 1); // see deadlock.c
      gr_deadlines_fire(&p->deadlines, r->now_ns, gr_ready_expired);
      atomic_fetch_sub(&s->monitor_fires, 1);
      note_firing(p, who, r->now_ns);
      end_deadlock();
    }
    gr_sooner(r, gr_monitor_due(p));
  }
}

// To be woken for each sleep that ends beside other deadlines would cost more
// than these do: it looks by itself, for a while. (Not where somebody computes:
// then it looks four times as often.)
static void stay_awake(gr_round *r) {
  if (atomic_exchange_explicit(&gr_monitor_stays, false, memory_order_relaxed))
    monitor.stays = STAY_ROUNDS;
  if (monitor.stays == 0 || !r->is_calm)
    return;
  monitor.stays--;
  gr_sooner(r, r->now_ns + gr_monitor_patience_ns());
}

// --- events of processors whose workers are busy ---

// Of a worker that runs something: before that its thread may not be known yet,
// and it is not there any more once it is gone.
static uint64_t cpu_at(gr_processor *p) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_worker *w = p->worker;
  bool runs = w && !w->is_gone && atomic_load(&w->g);
  uint64_t cpu_ns = runs ? gr_cpu_of(w) : 0;
  gr_lock_unlock(&gr_the_sched.lock);
  return cpu_ns;
}

static bool are_quick(unsigned turns, uint64_t in_ns) {
  return (uint64_t)turns * GR_QUICK_TURN_NS >= in_ns;
}

// A worker that has taken short turns since the last time lacked a CPU, or does
// still: the others can run what is woken, but to be told of each event at once
// would cost more than it saves.
static void note_help(gr_poller *poller) {
  gr_processor *p = GR_CONTAINER(poller, gr_processor, poller);
  uint64_t cpu_ns = cpu_at(p);
  unsigned turns = atomic_load(&p->turns);
  poller->helped_quick =
      are_quick(turns - poller->helped_turns, cpu_ns - poller->helped_cpu_ns);
  poller->helped_cpu_ns = cpu_ns;
  poller->helped_turns = turns;
  poller->helped_at_ns = gr_now_ns();
  poller->armed = false;
}

static void on_watch(uv_poll_t *poll, int status, int events) {
  (void)poll, (void)status, (void)events;
  gr_poller *ready[16];
  unsigned count = gr_watch_take(monitor.watch, ready, 16);
  for (unsigned i = 0; i < count; i++) {
    note_help(ready[i]);
    gr_poller_collect(ready[i], false);
  }
}

static int open_watch(void) {
  monitor.watch = gr_watch_new();
  if (monitor.watch < 0)
    return monitor.watch;
  int err = uv_poll_init(&monitor.loop.uv, &monitor.watch_poll, monitor.watch);
  if (!err)
    err = uv_poll_start(&monitor.watch_poll, UV_READABLE, on_watch);
  if (err)
    close(monitor.watch);
  return err;
}

// From when on nobody else looks at the events of the processor soon enough. A
// worker whose turns are short looks by itself.
static uint64_t left_alone_at(gr_processor *p, watcher who, uint64_t now_ns) {
  gr_poller *poller = &p->poller;
  unsigned looks = atomic_load(&poller->looks), turns = atomic_load(&p->turns);
  if (looks != poller->seen_looks || !poller->seen_at_ns) {
    poller->seen_looks = looks;
    poller->seen_at_ns = now_ns;
    poller->seen_turns = turns;
  }
  if (who == NOBODY)
    return now_ns;
  bool quick = are_quick(turns - poller->seen_turns, EVENTS_NS);
  unsigned times = gr_nobody_computes() ? 4 : quick ? 2 : 1;
  uint64_t at_ns = poller->seen_at_ns + times * EVENTS_NS;
  uint64_t helped_ns = poller->helped_at_ns + times * EVENTS_NS;
  return poller->helped_quick && helped_ns > at_ns ? helped_ns : at_ns;
}

// Has the next event be told to the monitor. One that was told before its
// worker fell asleep wakes both, once. But where all are busy with short turns
// and some lack a CPU, there is an event at once, each time.
static void watch(gr_round *r, gr_processor *p) {
  gr_poller *poller = &p->poller;
  if (!poller->helped_quick || !r->is_calm ||
      atomic_load(&gr_the_sched.idle_count) > 0) {
    poller->armed = gr_watch_arm(monitor.watch, poller);
    return;
  }
  note_help(poller);
  gr_poller_collect(poller, false);
  gr_sooner(r, gr_not_alone(r, left_alone_at(p, BUSY, r->now_ns)));
}

// Sees to the processors whose workers have not looked for events for a while.
static void watch_pollers(gr_round *r) {
  gr_sched *s = &gr_the_sched;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    if (!atomic_load(&p->poller.is_used) || p->poller.armed)
      continue;
    watcher who = watcher_of(p);
    if (who == SLEEPER) {
      r->awaits_events = true;
      continue;
    }
    uint64_t at_ns = left_alone_at(p, who, r->now_ns);
    if (at_ns <= r->now_ns)
      watch(r, p);
    else
      gr_sooner(r, gr_not_alone(r, at_ns));
  }
}

gr_loop *gr_monitor_loop(void) {
  return &monitor.loop;
}

// --- memory ---

// By and by: while it is done all threads are interrupted.
static void give_memory_back(gr_round *r) {
  if (!gr_pool_is_any_too_warm())
    return;
  if (r->now_ns >= monitor.cooled_at_ns + COOL_NS) {
    monitor.cooled_at_ns = r->now_ns;
    gr_pool_cool();
  }
  gr_sooner(r, monitor.cooled_at_ns + COOL_NS);
}

// --- the thread ---

static void one_round(gr_round *r) {
  r->now_ns = gr_now_ns();
  atomic_store(&gr_the_sched.coarse_now_ns, r->now_ns);
  r->slice_ns = atomic_load(&gr_the_sched.slice_ns);
  r->is_calm = gr_nobody_computes();
  r->next_ns = GR_NEVER;
  fire_deadlines(r);
  stay_awake(r);
  watch_pollers(r);
  gr_interrupts_end_waits();
  if (r->now_ns >= monitor.families_seen_at_ns + FAMILIES_NS) {
    monitor.families_seen_at_ns = r->now_ns;
    end_deadlocks_of_families();
  }
  gr_look_at_workers(r);
  gr_retire_threads(r);
  gr_debug_look(r);
  if (r->wants_help)
    gr_wake_processor();
  for (gr_processor *p = r->retaken, *next; p; p = next) {
    next = p->next_idle;
    gr_handoff(p, false);
  }
  give_memory_back(r);
}

static bool any_busy(void) {
  gr_lock_lock(&gr_the_sched.lock);
  bool busy = gr_any_busy_locked();
  gr_lock_unlock(&gr_the_sched.lock);
  return busy;
}

// Says when the monitor will look next, and then looks once more at what it
// might have missed (seq_cst): whoever sets an earlier deadline or begins to
// work later sees what was said, and kicks.
static uint64_t announce(gr_round *r) {
  atomic_store(&gr_monitor_wake_at, r->next_ns);
  gr_round again = {.next_ns = r->next_ns}; // now_ns is 0: nothing is due
  fire_deadlines(&again);
  gr_retire_threads(&again);
  uint64_t quiet_ns = gr_monitor_quiet_ns(r->slice_ns);
  if (again.next_ns > r->now_ns + quiet_ns) { // all is quiet
    if (any_busy())
      gr_sooner(&again, r->now_ns + quiet_ns / 2);
    else
      end_deadlocks_of_families();
  }
  return again.next_ns;
}

// It runs for microseconds, and others wait for that: with short turns on the
// CPU (Linux 6.12) and, if the user may, a higher priority it begins at once
// beside threads that compute, and not a tick or two later. Threads and
// children that it starts have what all others have.
static void ask_for_precedence(void) {
#if defined(__linux__) && defined(SYS_sched_setattr)
  enum { RESET_ON_FORK = 1 }; // SCHED_FLAG_RESET_ON_FORK
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attr = {.size = sizeof attr,
            .flags = RESET_ON_FORK,
            .nice = -10,
            .runtime = 100000};
  if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
    return;
  attr.nice = 0;
  syscall(SYS_sched_setattr, 0, &attr, 0);
#endif
}

static void *run_monitor(void *unused) {
  (void)unused;
  ask_for_precedence();
  unsigned quiet = 0;
  while (!atomic_load(&gr_the_sched.stopping)) {
    gr_round r = {0};
    one_round(&r);
    quiet = r.any_busy ? 0 : quiet + 1;
    if (quiet < QUIET_ROUNDS)
      gr_sooner(&r,
                r.now_ns + (r.awaits_events && 2 * EVENTS_NS < r.slice_ns / 2
                                ? 2 * EVENTS_NS
                                : r.slice_ns / 2));
    else
      gr_interrupts_follow();
    if (r.next_ns < r.now_ns + ROUND_MIN_NS)
      r.next_ns = r.now_ns + ROUND_MIN_NS;
    gr_loop_run(&monitor.loop, announce(&r));
    atomic_store(&gr_monitor_wake_at, 0); // awake: no need to kick
  }
  return NULL;
}

void gr_monitor_kick(void) {
  if (!gr_is_child()) // who shares the descriptor with the parent
    gr_loop_wake(&monitor.loop);
}

int gr_monitor_start(void) {
  gr_barrier_init();
  int err = gr_loop_init(&monitor.loop);
  if (err)
    return err;
  err = open_watch();
  if (err) {
    gr_loop_fini(&monitor.loop);
    return err;
  }
  atomic_store(&gr_monitor_wake_at, 0);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  err = pthread_create(&monitor.thread, NULL, run_monitor, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (err) {
    gr_loop_fini(&monitor.loop);
    close(monitor.watch);
  } else
    pthread_detach(monitor.thread);
  return err ? uv_translate_sys_error(err) : 0;
}
