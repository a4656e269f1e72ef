// SPDX-License-Identifier: MIT
// One round looks at each processor under the scheduler's lock, so that none
// changes hands meanwhile, and does what takes other locks afterwards.
#include "sched/monitor.h"

#include <fcntl.h>
#include <lua.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/membarrier.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "sched/examine.h"
#include "sched/sched.h"

enum {
  QUIET_ROUNDS = 20,      // rounds without anything running before deep sleep
  ROUND_MIN_NS = 20000,   // at most one round in this time
  WOKEN_NS = 100000,      // when to look again whether those woken run,
  WOKEN_MAX_NS = 500000,  // and at most, while goroutines take turns quickly
  COMPUTED_NS = 200000,   // who has used less CPU does not compute,
  AGAIN_NS = 20000,       // if it has not computed before, else this
  RUNNABLE_NS = 1000000,  // runnable for so long and used CPU: computes
  WATCHED_NS = 2000000,   // after so long the watch begins anew
  EVENTS_NS = 500000,     // for so long a worker may leave events alone
  FAMILIES_NS = 20000000, // between two looks for families that wait for ever
  PATIENCE = 2,           // signals without effect before a processor is taken
};

_Atomic(uint64_t) gr_monitor_wake_at = GR_NEVER;
atomic_bool gr_interrupts_taken;

static struct {
  pthread_t thread;
  gr_loop loop;
  int watch; // a set of the descriptors of processors at which nobody sleeps
  uv_poll_t watch_poll;
  gr_loop_request follow_request;
  atomic_bool follows; // that one is queued
  uint64_t patience_ns;
  uint64_t families_seen_at_ns;
} monitor;

// --- membarrier ---

static void init_barrier(void) {
#if defined(__linux__) && !defined(GR_TSAN)
  gr_enter_needs_fence =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
              0) != 0;
#else
  gr_enter_needs_fence = true;
#endif
}

void gr_barrier_everywhere(void) {
#ifdef __linux__
  if (!gr_enter_needs_fence) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    return;
  }
#endif
  atomic_thread_fence(memory_order_seq_cst);
}

// --- looking ---

static uint64_t cpu_of(gr_worker *w) {
  clockid_t clock;
  struct timespec ts;
  if (pthread_getcpuclockid(w->thread, &clock) == 0 &&
      clock_gettime(clock, &ts) == 0)
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
  return 0;
}

// Takes the processor from a goroutine that is not inside the runtime. See the
// protocol in worker.h.
static bool retake_locked(gr_worker *w, gr_processor *p) {
  gr_sched *s = &gr_the_sched;
  atomic_store(&w->retaking, true);
  gr_barrier_everywhere();
  gr_goroutine *g = atomic_load(&w->g);
  bool taken = g && !atomic_load(&w->in_runtime);
  if (taken) {
    gr_detach_locked(w, p);
    s->without_processor++;
    atomic_store(&g->foreign, true); // not on a main's thread again
    gr_goroutine *stuck = atomic_exchange(&w->bound_ready, NULL);
    if (stuck)
      gr_fifo_push(&s->woken, stuck); // may go on on another thread
    atomic_fetch_add_explicit(&s->retakes, 1, memory_order_relaxed);
  }
  atomic_store(&w->retaking, false);
  return taken;
}

static bool others_wait_locked(gr_processor *p, gr_worker *w) {
  gr_sched *s = &gr_the_sched;
  return atomic_load(&s->global.count) || atomic_load(&s->woken.count) ||
         atomic_load(&p->runq.next) || gr_runq_count(&p->runq) ||
         atomic_load(&w->bound_ready) || p->id >= atomic_load(&s->procs);
}

// What one round finds out.
typedef struct round {
  uint64_t now_ns, slice_ns;
  uint64_t next_ns; // when to look again
  unsigned woken;   // goroutines for which no hog has made way yet
  bool any_busy;
  bool bound_waits;      // for a goroutine that was not sent a signal yet
  bool advances;         // some worker has begun a slice
  bool awaits_events;    // of a processor whose worker may begin to compute
  bool wants_help;       // an idle processor is to be woken
  gr_processor *retaken; // list by next_idle
} round;

static void sooner(round *r, uint64_t when_ns) {
  if (when_ns < r->next_ns)
    r->next_ns = when_ns;
}

// True if the thread sleeps in the kernel: a signal would only cut that short.
// One that waits for a CPU does not.
static bool is_blocked(gr_worker *w) {
#ifdef __linux__
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&w->tid));
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  if (len <= 0)
    return false;
  text[len] = '\0';
  const char *state = strrchr(text, ')'); // behind the name, in parentheses
  return state && state[1] == ' ' && state[2] != 'R';
#else
  (void)w;
  return false;
#endif
}

// From now on it is noted how much the thread computes.
static void watch_cpu(gr_worker *w, uint64_t now_ns) {
  w->seen_cpu_ns = cpu_of(w);
  w->seen_at_ns = now_ns;
}

// True if the thread computes: it does not sleep in the kernel now, has used
// some CPU since it is watched, and either most of that time or has been
// runnable for a while (it may have to share a CPU). One that goes from one
// sleep to the next is sent no signal, for that would cut a sleep in C code
// short.
static bool computes(gr_worker *w, uint64_t now_ns) {
  if (is_blocked(w)) {
    w->runnable_since_ns = 0;
    watch_cpu(w, now_ns);
    return false;
  }
  if (w->runnable_since_ns == 0)
    w->runnable_since_ns = now_ns;
  uint64_t used_ns = cpu_of(w) - w->seen_cpu_ns;
  uint64_t watched_ns = now_ns - w->seen_at_ns;
  gr_goroutine *g = atomic_load(&w->g);
  bool has_computed = g && gr_has_computed(g);
  if (used_ns >= (has_computed ? AGAIN_NS : COMPUTED_NS) &&
      (2 * used_ns >= watched_ns ||
       now_ns - w->runnable_since_ns >= RUNNABLE_NS))
    return true;
  if (watched_ns >= WATCHED_NS)
    watch_cpu(w, now_ns);
  return false;
}

static void signal_locked(gr_worker *w, uint64_t now_ns, uint64_t had_ns) {
  watch_cpu(w, now_ns);
  gr_preempt_locked(w, had_ns);
}

// True if the worker has begun a slice since it was looked at.
static bool note_slice_locked(gr_worker *w, uint64_t now_ns) {
  uint32_t slice = atomic_load(&w->slice);
  if (slice == w->seen_slice)
    return false;
  uint64_t begin_ns = atomic_load(&w->begin_ns);
  atomic_store(&w->seen_since_ns, begin_ns ? begin_ns : now_ns);
  atomic_store(&w->seen_slice, slice); // release: the time is before
  w->signals = 0;
  return true;
}

// At once, for the caller is free to take what runs there only now. That has
// loaded no C module whose sleep a signal could cut short: it would not be on a
// host's thread.
void gr_monitor_make_way_locked(gr_worker *w) {
  if (!w->is_gone && atomic_load(&w->bound_ready) && atomic_load(&w->g) &&
      atomic_load(&w->p) && !is_blocked(w))
    signal_locked(w, gr_now_ns(),
                  0); // to the caller, not after what goes first
}

// Ends what the worker runs if that is due. True if its processor was taken.
static bool look_after_locked(round *r, gr_processor *p, gr_worker *w) {
  bool is_new = note_slice_locked(w, r->now_ns);
  r->advances |= is_new;
  if (!others_wait_locked(p, w))
    return false;
  if (atomic_load(&w->blocking))
    return retake_locked(w, p);
  bool over = r->now_ns - w->seen_since_ns >= r->slice_ns;
  bool wanted = atomic_load(&w->bound_ready) != NULL;
  if (!wanted && (is_new || (!over && r->woken == 0)))
    return false;
  bool busy = computes(w, r->now_ns);
  bool stuck = busy ? w->signals >= PATIENCE : is_blocked(w);
  if (over && stuck && retake_locked(w, p)) {
    watch_cpu(w, r->now_ns);
    return true;
  }
  if (!busy) {
    r->bound_waits |= wanted;
    return false;
  }
  if (r->woken > 0)
    r->woken--;
  w->signals += over;
  monitor.patience_ns = 0;
  signal_locked(w, r->now_ns, over ? 0 : r->now_ns - w->seen_since_ns + 1);
  return false;
}

// A goroutine that computes without a processor is stopped at its next
// instruction, however often the hook gets lost.
static void stop_stray_locked(gr_worker *w, uint64_t now_ns) {
  if (computes(w, now_ns))
    signal_locked(w, now_ns, 0);
}

// True if the goroutine that the worker runs has used up its CPU time.
static bool is_over_limit(gr_worker *w, gr_goroutine *g) {
  uint64_t limit_ns = atomic_load(&g->cpu_limit_ns);
  if (GR_LIKELY(limit_ns == 0))
    return false;
  uint64_t now_ns = cpu_of(w), since_ns = atomic_load(&g->cpu_since_ns);
  uint64_t used_ns = atomic_load(&g->cpu_used_ns);
  return now_ns > since_ns && used_ns + now_ns - since_ns >= limit_ns;
}

// One that has something to hear is told again and again, until it has heard.
static void strike_locked(gr_worker *w, gr_goroutine *g, uint64_t now_ns) {
  if (is_over_limit(w, g))
    atomic_fetch_or(&g->struck, GR_STRUCK_CPU);
  if (atomic_load(&g->struck) && computes(w, now_ns))
    signal_locked(w, now_ns, 0);
}

// Threads that have had no work for long end.
static void retire_threads(round *r) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  for (gr_worker **at = &s->idle_workers; *at;) {
    gr_worker *w = *at;
    uint64_t end_ns = w->idle_since_ns + GR_RETIRE_NS;
    if (end_ns > r->now_ns) {
      sooner(r, end_ns);
      at = &w->next_idle;
      continue;
    }
    *at = w->next_idle;
    w->retires = true;
    uv_sem_post(&w->handed);
  }
  gr_lock_unlock(&s->lock);
}

// Work in a next slot, for which nobody was woken, while a processor is idle.
static bool is_kept_waiting(gr_worker *w, gr_processor *p) {
  return w->seen_slice == atomic_load(&w->slice) &&
         atomic_load(&p->runq.next) && atomic_load(&gr_the_sched.idle_count);
}

// A server whose goroutines all go on quickly has woken ones at every moment,
// and nobody who is to make way.
static uint64_t woken_patience(round *r) {
  uint64_t ns = 2 * monitor.patience_ns;
  if (!r->advances || r->bound_waits || ns < WOKEN_NS)
    ns = WOKEN_NS;
  return monitor.patience_ns = ns < WOKEN_MAX_NS ? ns : WOKEN_MAX_NS;
}

static void look_at_workers(round *r) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  if (atomic_load(&s->stopping)) { // main's state may be gone
    gr_lock_unlock(&s->lock);
    return;
  }
  r->woken = atomic_load(&s->woken.count);
  bool any_woken = r->woken > 0;
  r->any_busy = gr_any_busy_locked();
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_worker *w = GR_CONTAINER(at, gr_worker, all);
    gr_processor *p = atomic_load(&w->p);
    gr_goroutine *g = atomic_load(&w->g); // not freed without the lock
    if (w->is_gone || (p && p->is_idle) || !g)
      continue;
    strike_locked(w, g, r->now_ns);
    if (p && is_kept_waiting(w, p)) {
      atomic_store(&p->ready_patience.patience, 0);
      atomic_store(&p->start_patience.patience, 0);
      r->wants_help = true;
    }
    if (!p) {
      stop_stray_locked(w, r->now_ns);
    } else if (look_after_locked(r, p, w)) {
      p->next_idle = r->retaken;
      r->retaken = p;
    }
  }
  if (r->any_busy)
    sooner(r, r->now_ns + r->slice_ns / 2);
  // Also if all have been asked: the next turn may be another one's.
  if (any_woken || r->bound_waits)
    sooner(r, r->now_ns + woken_patience(r));
  gr_lock_unlock(&s->lock);
}

// True if nobody but the monitor looks at the deadlines and events of p.
static bool is_unwatched(gr_processor *p) {
  gr_lock_lock(&gr_the_sched.lock);
  bool unwatched = !p->is_idle || !p->worker;
  gr_lock_unlock(&gr_the_sched.lock);
  return unwatched;
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

// Runs what has expired where nobody else does.
static void fire_deadlines(round *r) {
  gr_sched *s = &gr_the_sched;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    uint64_t earliest = atomic_load(&p->deadlines.earliest_ns);
    if (earliest == GR_NEVER || !is_unwatched(p))
      continue;
    if (gr_monitor_due(p) <= r->now_ns) {
      atomic_fetch_add(&s->monitor_fires, 1); // see deadlock.c
      gr_deadlines_fire(&p->deadlines, r->now_ns, gr_ready_woken);
      atomic_fetch_sub(&s->monitor_fires, 1);
      end_deadlock();
    }
    sooner(r, gr_monitor_due(p));
  }
}

// --- events of processors whose workers are busy ---

static void on_watch(uv_poll_t *poll, int status, int events) {
  (void)poll, (void)status, (void)events;
  gr_poller *ready[16];
  unsigned count = gr_watch_take(monitor.watch, ready, 16);
  for (unsigned i = 0; i < count; i++) {
    ready[i]->armed = false;
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

// The worker of the processor has not looked for a while, or there is none.
static bool is_left_alone(gr_processor *p, uint64_t now_ns) {
  gr_poller *poller = &p->poller;
  gr_lock_lock(&gr_the_sched.lock);
  bool has_worker = p->worker != NULL;
  gr_lock_unlock(&gr_the_sched.lock);
  unsigned looks = atomic_load(&poller->looks);
  if (looks != poller->seen_looks || !poller->seen_at_ns) {
    poller->seen_looks = looks;
    poller->seen_at_ns = now_ns;
  }
  return !has_worker || now_ns - poller->seen_at_ns >= EVENTS_NS;
}

// Has the next event of each be told to the monitor whose worker has not looked
// for events for a while. One that was told before its worker fell asleep wakes
// both, once.
static void watch_pollers(round *r) {
  gr_sched *s = &gr_the_sched;
  unsigned made = atomic_load(&s->processors_made);
  for (unsigned i = 0; i < made; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    if (!atomic_load(&p->poller.is_used) || p->poller.armed)
      continue;
    r->awaits_events = true;
    if (!is_unwatched(p))
      continue;
    if (is_left_alone(p, r->now_ns))
      p->poller.armed = gr_watch_arm(monitor.watch, &p->poller);
    else
      sooner(r, p->poller.seen_at_ns + EVENTS_NS);
  }
}

gr_loop *gr_monitor_loop(void) {
  return &monitor.loop;
}

// --- Ctrl-C while main waits ---

static struct sigaction host_interrupt;

static void on_interrupt(int sig, siginfo_t *info, void *context) {
  if (host_interrupt.sa_flags & SA_SIGINFO)
    host_interrupt.sa_sigaction(sig, info, context);
  else
    host_interrupt.sa_handler(sig);
  gr_monitor_kick();
}

// Lets the host's handler of Ctrl-C wake us as well. The stock interpreter sets
// its handler anew for each chunk that it runs. Under the token of the
// monitor's loop, as all else that catches signals.
static void follow_interrupts(gr_loop *loop, gr_loop_request *request) {
  (void)loop, (void)request;
  atomic_store(&monitor.follows, false);
  if (atomic_load(&gr_interrupts_taken))
    return;
  struct sigaction now, ours = {.sa_sigaction = on_interrupt,
                                .sa_flags = SA_SIGINFO | SA_RESTART};
  sigemptyset(&ours.sa_mask);
  if (sigaction(SIGINT, NULL, &now) != 0)
    return;
  if (now.sa_flags & SA_SIGINFO) {
    if (now.sa_sigaction == on_interrupt)
      return;
  } else if (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) {
    return;
  }
  host_interrupt = now;
  sigaction(SIGINT, &ours, NULL);
}

static void follow_interrupts_soon(void) {
  if (atomic_exchange(&monitor.follows, true))
    return; // still to be run by whoever holds the token
  monitor.follow_request.run = follow_interrupts;
  gr_loop_submit(&monitor.loop, &monitor.follow_request);
}

// A main whose hook has changed while it waits was interrupted by its host.
static gr_goroutine *find_interrupted_locked(void) {
  gr_sched *s = &gr_the_sched;
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_worker, all)->main;
    if (!g)
      continue;
    unsigned word = atomic_load(&g->claim);
    if ((word & GR_CLAIM_MASK) == GR_CLAIM_OPEN &&
        atomic_load(&g->status) == GR_WAITING &&
        (uintptr_t)lua_gethook(g->L) != atomic_load(&g->hook_at_park) &&
        gr_wait_claim(g, word, GR_CLAIM_INTERRUPT))
      return g;
  }
  return NULL;
}

static void interrupt_mains(void) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *g = find_interrupted_locked();
  gr_lock_unlock(&gr_the_sched.lock);
  if (g)
    gr_ready_woken(g);
}

// --- the thread ---

static void one_round(round *r) {
  r->now_ns = gr_now_ns();
  atomic_store(&gr_the_sched.coarse_now_ns, r->now_ns);
  r->slice_ns = atomic_load(&gr_the_sched.slice_ns);
  r->next_ns = GR_NEVER;
  fire_deadlines(r);
  watch_pollers(r);
  interrupt_mains();
  if (r->now_ns >= monitor.families_seen_at_ns + FAMILIES_NS) {
    monitor.families_seen_at_ns = r->now_ns;
    end_deadlocks_of_families();
  }
  look_at_workers(r);
  retire_threads(r);
  if (r->wants_help)
    gr_wake_processor();
  for (gr_processor *p = r->retaken, *next; p; p = next) {
    next = p->next_idle;
    gr_handoff(p, false);
  }
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
static uint64_t announce(round *r) {
  atomic_store(&gr_monitor_wake_at, r->next_ns);
  round again = {.next_ns = r->next_ns}; // now_ns is 0: nothing is due
  fire_deadlines(&again);
  retire_threads(&again);
  if (again.next_ns > r->now_ns + r->slice_ns) { // all is quiet
    if (any_busy())
      sooner(&again, r->now_ns + r->slice_ns / 2);
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
    round r = {0};
    one_round(&r);
    quiet = r.any_busy ? 0 : quiet + 1;
    if (quiet < QUIET_ROUNDS)
      sooner(&r, r.now_ns + (r.awaits_events && 2 * EVENTS_NS < r.slice_ns / 2
                                 ? 2 * EVENTS_NS
                                 : r.slice_ns / 2));
    else
      follow_interrupts_soon();
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
  init_barrier();
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
