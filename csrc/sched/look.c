// SPDX-License-Identifier: MIT
// What a round of the monitor does about workers.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sched/barrier.h"
#include "sched/monitor.h"
#include "sched/preempt.h"
#include "sched/round.h"
#include "sched/sched.h"

enum {
  WOKEN_NS = 100000,     // when to look again whether those woken run,
  WOKEN_MAX_NS = 500000, // and at most, while goroutines take turns quickly,
  CALM_MAX_NS = 2000000, // or this if nobody computes
  COMPUTED_NS = 200000,  // who has used less CPU does not compute,
  AGAIN_NS = 20000,      // if it has not computed before, else this or more
  RUNNABLE_NS = 1000000, // runnable for so long and used CPU: computes
  WATCHED_NS = 2000000,  // after so long the watch begins anew
  ASK_NS = 1000000,      // for so long the kernel's word is taken
  PATIENCE = 2,          // signals without effect before a processor is taken
};

static uint64_t patience_ns; // the monitor's; see woken_patience

uint64_t gr_cpu_of(gr_worker *w) {
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
  return atomic_load(&s->global.count) || gr_count_woken(s) ||
         atomic_load(&p->runq.next) || gr_runq_count(&p->runq) ||
         atomic_load(&w->bound_ready) || p->id >= atomic_load(&s->procs);
}

#ifdef __linux__
static bool sleeps(gr_worker *w) {
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
}
#else
static bool sleeps(gr_worker *w) {
  (void)w;
  return false;
}
#endif

// True if the thread sleeps in the kernel: a signal would only cut that short.
// One that sleeps for a lock is none of these, or has been until just now; it
// may be the scheduler's, which the caller holds. One that waits for a CPU does
// not, and cannot begin to before it has used some. So the kernel, which takes
// its time to say, is not asked again until then; but from time to time, should
// that be counted by ticks.
static bool is_blocked(gr_worker *w) {
  uint64_t cpu_ns = gr_cpu_of(w), now_ns = gr_now_ns(); // before its state
  if (cpu_ns == w->runnable_cpu_ns && now_ns - w->runnable_at_ns < ASK_NS)
    return false;
  bool blocked = !atomic_load(&w->sleeps_for_lock) && sleeps(w) &&
                 !atomic_load(&w->sleeps_for_lock);
  w->runnable_cpu_ns = cpu_ns;
  w->runnable_at_ns = blocked ? 0 : now_ns;
  return blocked;
}

// From now on it is noted how much the thread computes.
static void watch_cpu(gr_worker *w, uint64_t now_ns) {
  w->seen_cpu_ns = gr_cpu_of(w);
  w->seen_at_ns = now_ns;
}

// True if the thread computes: it does not sleep in the kernel now, has used
// some CPU since it is watched, and either most of that time or has been
// runnable for a while (it may have to share a CPU). One that goes from one
// sleep to the next is sent no signal, for that would cut a sleep in C code
// short. One that has computed before need have used so little.
static bool computes(gr_worker *w, uint64_t now_ns, uint64_t again_ns) {
  if (is_blocked(w)) {
    w->runnable_since_ns = 0;
    watch_cpu(w, now_ns);
    return false;
  }
  if (w->runnable_since_ns == 0)
    w->runnable_since_ns = now_ns;
  uint64_t used_ns = gr_cpu_of(w) - w->seen_cpu_ns;
  uint64_t watched_ns = now_ns - w->seen_at_ns;
  gr_goroutine *g = atomic_load(&w->g);
  bool has_computed = g && gr_has_computed(g);
  if (used_ns >= (has_computed ? again_ns : COMPUTED_NS) &&
      (2 * used_ns >= watched_ns ||
       now_ns - w->runnable_since_ns >= RUNNABLE_NS))
    return true;
  if (watched_ns >= WATCHED_NS)
    watch_cpu(w, now_ns);
  return false;
}

// True if the thread has not run since this was last asked.
static bool has_no_cpu(gr_worker *w) {
  uint64_t before_ns = w->asked_cpu_ns;
  w->asked_cpu_ns = gr_cpu_of(w);
  return w->asked_cpu_ns == before_ns;
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
static bool look_after_locked(gr_round *r, gr_processor *p, gr_worker *w) {
  bool is_new = note_slice_locked(w, r->now_ns);
  r->advances |= is_new;
  if (!others_wait_locked(p, w))
    return false;
  if (atomic_load(&w->blocking))
    return retake_locked(w, p);
  bool over = r->now_ns - w->seen_since_ns >= r->slice_ns;
  bool wanted = atomic_load(&w->bound_ready) != NULL;
  r->bound_is_kept |= wanted && !is_new;
  // A slice that is new may be the rest of one, and over. While nobody computes
  // it is a short one: whoever is bound gets the next.
  bool is_pressing = wanted && !(is_new && r->is_calm);
  if (!is_pressing && !over && (is_new || r->woken == 0)) {
    if (r->woken > 0 || wanted) // what others have used before is not its
      watch_cpu(w, r->now_ns);
    r->bound_waits |= wanted;
    return false;
  }
  r->advances |= has_no_cpu(w);
  // Where threads lack CPUs a slice is over before much of it has been had.
  uint64_t part_ns = r->slice_ns < COMPUTED_NS ? r->slice_ns : COMPUTED_NS;
  bool busy =
      computes(w, r->now_ns, wanted || r->woken > 0 ? AGAIN_NS : part_ns);
  if (over && (busy ? w->signals >= PATIENCE : is_blocked(w)) &&
      retake_locked(w, p)) {
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
  patience_ns = 0;
  r->is_calm = false;
  atomic_store_explicit(&gr_the_sched.computed_at_ns, r->now_ns,
                        memory_order_relaxed);
  signal_locked(w, r->now_ns, over ? 0 : r->now_ns - w->seen_since_ns + 1);
  return false;
}

// A goroutine that computes without a processor is stopped at its next
// instruction, however often the hook gets lost.
static void stop_stray_locked(gr_worker *w, uint64_t now_ns) {
  if (computes(w, now_ns, AGAIN_NS))
    signal_locked(w, now_ns, 0);
}

// True if the goroutine that the worker runs has used up its CPU time.
static bool is_over_limit(gr_worker *w, gr_goroutine *g) {
  uint64_t limit_ns = atomic_load(&g->cpu_limit_ns);
  if (GR_LIKELY(limit_ns == 0))
    return false;
  uint64_t now_ns = gr_cpu_of(w), since_ns = atomic_load(&g->cpu_since_ns);
  uint64_t used_ns = atomic_load(&g->cpu_used_ns);
  return now_ns > since_ns && used_ns + now_ns - since_ns >= limit_ns;
}

// One that has something to hear is told again and again, until it has heard.
static void strike_locked(gr_worker *w, gr_goroutine *g, uint64_t now_ns) {
  if (is_over_limit(w, g))
    atomic_fetch_or(&g->struck, GR_STRUCK_CPU);
  if (atomic_load(&g->struck) && computes(w, now_ns, AGAIN_NS))
    signal_locked(w, now_ns, 0);
}

// Threads that have had no work for long end.
void gr_retire_threads(gr_round *r) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  for (gr_worker **at = &s->idle_workers; *at;) {
    gr_worker *w = *at;
    uint64_t end_ns = w->idle_since_ns + GR_RETIRE_NS;
    if (end_ns > r->now_ns) {
      gr_sooner(r, end_ns);
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
static uint64_t woken_patience(gr_round *r) {
  uint64_t ns = 2 * patience_ns;
  bool is_pressing = r->is_calm ? r->bound_is_kept : r->bound_waits;
  if (!r->advances || is_pressing || ns < WOKEN_NS)
    ns = WOKEN_NS;
  uint64_t max_ns = r->is_calm && !r->bound_waits ? CALM_MAX_NS : WOKEN_MAX_NS;
  return patience_ns = ns < max_ns ? ns : max_ns;
}

static unsigned seen_bound_wakes; // the monitor's

// Where goroutines take turns quickly, one that is bound to their worker gets
// its turn before the monitor has woken up for it.
static void look_after_bound_locked(gr_round *r) {
  unsigned wakes = gr_the_sched.bound_wakes;
  if (r->bound_is_kept) {
    atomic_store(&gr_monitor_bound_patience_ns, 0);
  } else if (wakes != seen_bound_wakes) {
    uint64_t at_ns = gr_not_alone(r, r->now_ns + gr_monitor_patience_ns());
    atomic_store(&gr_monitor_bound_patience_ns, at_ns - r->now_ns);
    gr_sooner(r, at_ns);
  }
  seen_bound_wakes = wakes;
}

static bool had_woken; // the monitor's: in the last round

void gr_look_at_workers(gr_round *r) {
  gr_sched *s = &gr_the_sched;
  gr_lock_lock(&s->lock);
  if (atomic_load(&s->stopping)) { // main's state may be gone
    gr_lock_unlock(&s->lock);
    return;
  }
  r->woken = gr_count_woken(s);
  bool any_woken = r->woken > 0;
  // Somebody thought to cope with those alone, and has not until now.
  r->wants_help |= any_woken && had_woken && atomic_load(&s->idle_count) > 0;
  had_woken = any_woken;
  r->any_busy = gr_any_busy_locked();
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_worker *w = GR_CONTAINER(at, gr_worker, all);
    gr_processor *p = atomic_load(&w->p);
    gr_goroutine *g = atomic_load(&w->g); // not freed without the lock
    if (w->is_gone || (p && p->is_idle) || !g) {
      r->advances |= p && !p->is_idle; // between two turns
      continue;
    }
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
    gr_sooner(r, r->now_ns + r->slice_ns / 2);
  // Also if all have been asked: the next turn may be another one's.
  if (any_woken || r->bound_waits) {
    uint64_t ns = woken_patience(r);
    gr_sooner(r, ns == CALM_MAX_NS ? gr_not_alone(r, r->now_ns + ns / 2)
                                   : r->now_ns + ns);
  }
  look_after_bound_locked(r);
  gr_lock_unlock(&s->lock);
}
