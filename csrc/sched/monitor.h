// SPDX-License-Identifier: MIT
// The monitor: a thread without a processor that looks after those who
// compute. It ends slices that are too long, takes processors from goroutines
// that block in C, runs the deadlines of processors whose workers are busy, and
// ends threads that are no longer needed.
#ifndef GR_MONITOR_H
#define GR_MONITOR_H

#include "base/base.h"
#include "sched/loop.h"
#include "sched/processor.h"
#include "sched/sched.h"

// When the monitor will look next, in ns; GR_NEVER while all sleep. seq_cst:
// it stores this and then looks at the deadlines; who sets a deadline stores
// that and then looks at this.
extern _Atomic(uint64_t) gr_monitor_wake_at;

// Starts the thread, which runs until the process ends. 0 or libuv's error
// code.
int gr_monitor_start(void);

// The caller, who has nothing to do, has readied a goroutine that is bound to
// the worker: what runs there makes way at once, and the caller can have it.
// The monitor itself may have to wait for a CPU. Under the scheduler's lock.
void gr_monitor_make_way_locked(gr_worker *w);

// The monitor's own loop, which is always run: for what must be seen to while
// all workers compute.
gr_loop *gr_monitor_loop(void);

// Has the monitor look now. Any thread; signal-safe.
void gr_monitor_kick(void);

// For so long a worker may leave deadlines alone: it looks by itself if it
// takes turns.
static inline uint64_t gr_monitor_patience_ns(void) {
  enum { PATIENCE_NS = 250000, CALM_NS = 1000000 };
  return gr_nobody_computes() ? CALM_NS : PATIENCE_NS;
}

// When the monitor is to see to the deadlines of a processor that is busy.
static inline uint64_t gr_monitor_due(gr_processor *p) {
  uint64_t earliest_ns = gr_deadlines_earliest(&p->deadlines);
  uint64_t patient_ns =
      atomic_load_explicit(&p->looked_at_ns, memory_order_relaxed) +
      gr_monitor_patience_ns();
  return earliest_ns > patient_ns ? earliest_ns : patient_ns;
}

// The monitor has been woken for a deadline, and stays awake for the next ones.
// Relaxed: it costs a kick more if that is seen late.
extern atomic_bool gr_monitor_stays;

// A worker is about to run a goroutine: the deadlines of its processor are the
// monitor's to watch meanwhile.
static inline void gr_monitor_watch(gr_processor *p) {
  uint64_t wake_at_ns = atomic_load(&gr_monitor_wake_at);
  if (GR_UNLIKELY(gr_deadlines_earliest(&p->deadlines) < wake_at_ns) &&
      gr_monitor_due(p) < wake_at_ns) {
    atomic_store_explicit(&gr_monitor_stays, true, memory_order_relaxed);
    gr_monitor_kick();
  }
}

// How long a goroutine that is bound to a busy worker may wait before the
// monitor looks: 0, unless the worker took its next turn by itself the last
// time.
extern _Atomic(uint64_t) gr_monitor_bound_patience_ns;

// A goroutine waits that is bound to a busy worker. (A monitor that is awake
// may have looked there already.)
static inline void gr_monitor_expect_bound(void) {
  uint64_t at_ns = atomic_load(&gr_monitor_wake_at);
  uint64_t patience_ns =
      atomic_load_explicit(&gr_monitor_bound_patience_ns, memory_order_relaxed);
  if (patience_ns == 0 || at_ns == 0 || at_ns > gr_now_ns() + patience_ns)
    gr_monitor_kick();
}

// Somebody wants the monitor to look at that time at the latest.
static inline void gr_monitor_expect(uint64_t when_ns) {
  if (GR_UNLIKELY(atomic_load(&gr_monitor_wake_at) > when_ns))
    gr_monitor_kick();
}

// The same for what a monitor that is awake may have looked at already.
static inline void gr_monitor_expect_within(uint64_t ns) {
  uint64_t at_ns = atomic_load(&gr_monitor_wake_at);
  if (at_ns == 0 || at_ns > gr_now_ns() + ns)
    gr_monitor_kick();
}

// Something that was woken waits where nobody may be free to run it: others are
// to make way for it before their slices end.
static inline void gr_monitor_expect_woken(void) {
  enum { SOON_NS = 100000 };
  if (atomic_load(&gr_the_sched.idle_count) == 0)
    gr_monitor_expect_within(SOON_NS);
}

// The monitor sleeps for longer than this only while all is quiet.
static inline uint64_t gr_monitor_quiet_ns(uint64_t slice_ns) {
  enum { QUIET_NS = 10000000 };
  return slice_ns < QUIET_NS ? slice_ns : QUIET_NS;
}

// A worker that slept is busy again, or is new: all is not quiet.
static inline void gr_monitor_busy(void) {
  uint64_t now_ns =
      atomic_load_explicit(&gr_the_sched.coarse_now_ns, memory_order_relaxed);
  uint64_t quiet_ns = gr_monitor_quiet_ns(
      atomic_load_explicit(&gr_the_sched.slice_ns, memory_order_relaxed));
  if (GR_UNLIKELY(atomic_load(&gr_monitor_wake_at) > now_ns + quiet_ns))
    gr_monitor_kick();
}

#endif
