// SPDX-License-Identifier: MIT
// A worker: an OS thread that runs goroutines while it holds a processor. Each
// has a scheduler stack, where it chooses what to run: its thread's own, but
// for a worker that a host's thread has become.
//
// Entering and leaving the runtime. Between gr_enter and gr_leave the calling
// goroutine is inside the runtime: its processor stays its own, no signal arms
// a hook, and no Lua API is called. Outside, the monitor may take the processor
// away (a long C call); gr_enter finds out and gets one again. The two sides:
//
//   gr_enter:  in_runtime = true,  [barrier],  look at retaking and p
//   monitor:   retaking = true,    membarrier, look at in_runtime
//
// One of the two sees the other. The worker's barrier is a compiler's only, for
// membarrier(2) makes one in every thread; it is real where that is missing.
#ifndef GR_WORKER_H
#define GR_WORKER_H

#include <pthread.h>
#include <uv.h>

#include "base/base.h"
#include "sched/context.h"
#include "sched/goroutine.h"
#include "sched/processor.h"

// Called on the scheduler stack for the goroutine that has just been switched
// away from; what it unlocks there cannot be had before the switch is complete.
typedef void (*gr_commit)(gr_goroutine *g, void *arg);

struct gr_worker {
  gr_context context; // the scheduler's

  // The thread's own; `g` and `slice` are read by the monitor, too.
  _Atomic(gr_goroutine *) g; // running, or NULL
  atomic_uint slice;         // number of the present time slice
  gr_commit commit;
  void *commit_arg;
  bool searching;       // counted in the scheduler's count of these
  bool runs_bound_only; // its bound goroutine wants the thread to itself

  // See the protocol above.
  atomic_bool in_runtime;    // written by the thread
  atomic_bool retaking;      // written by the monitor
  _Atomic(gr_processor *) p; // written by the thread, by whoever hands it a
                             // processor while it sleeps, and by the monitor

  atomic_bool blocking;        // inside go.blocking or the like; a hint
  atomic_bool sleeps_for_lock; // written by the thread

  // The number of the slice that is to end; the thread compares it with
  // `slice`, so that a late request does not hit the next goroutine.
  atomic_uint preempt;
  // If it is only to make way: how much of the slice it has had, which it goes
  // on with afterwards. 0: the slice is over. Written before `preempt`.
  _Atomic(uint64_t) had_ns;
  // When the present slice began, if that is known: it is the rest of one. Else
  // 0. Written by the thread before `slice`, for the monitor.
  _Atomic(uint64_t) begin_ns;
  uint64_t rest_of_ns; // and how much of it was over then; the thread's own

  // A signal for that is on its way, or its handler runs: no further one is
  // sent. Set under the scheduler's lock, cleared at the handler's end.
  atomic_bool is_signalled;
  // The handler's own: when it may arm again in the slice that it armed in.
  uint32_t armed_slice;
  uint64_t arm_again_ns;

  // A goroutine bound to this thread that is to run next.
  _Atomic(gr_goroutine *) bound_ready;

  // Guarded by the scheduler's lock.
  gr_worker *next_idle;
  gr_goroutine *main;    // of a host's thread, else NULL
  bool awaits_processor; // asleep until its bound goroutine is runnable
  // It has given its processor to the worker of a bound goroutine that it has
  // readied, and may have more to ready before it comes for another.
  bool is_between;
  bool is_gone;
  bool retires;           // is to end; read by the thread after `handed`
  uint64_t idle_since_ns; // in the list of idle workers
  gr_link all;
  // The monitor's notes.
  atomic_uint seen_slice;          // read by the thread, too
  _Atomic(uint64_t) seen_since_ns; // when it first saw that slice
  uint64_t seen_cpu_ns;            // of the thread, at seen_at_ns
  uint64_t seen_at_ns;
  uint64_t runnable_since_ns; // found so at each look since; 0: not
  uint64_t runnable_at_ns;    // when it was found so last
  uint64_t runnable_cpu_ns;   // of the thread by then
  uint64_t asked_cpu_ns;      // see has_no_cpu
  unsigned signals;           // for that slice, without effect

  uv_sem_t handed; // posted after `p` was set for a worker without one
  pthread_t thread;
  atomic_int tid; // the kernel's number of it, where there is one
  uint32_t id;
  void *signal_stack;
  gr_stack *scheduler_stack; // of a host's thread
};

// The calling thread's worker, or NULL. Read anew each time, from where the
// present thread has it: a compiler may keep the address of a thread-local over
// a switch.
extern __thread gr_worker *gr_the_worker
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
#if defined(__x86_64__) && defined(__linux__)
static inline gr_worker *gr_worker_self(void) {
  gr_worker *w;
  __asm__ volatile("movq gr_the_worker@gottpoff(%%rip), %0\n\t"
                   "movq %%fs:(%0), %0"
                   : "=r"(w)
                   :
                   : "memory");
  return w;
}
#else
GR_NOINLINE gr_worker *gr_worker_self(void);
#endif

// Whether gr_enter must make its barrier itself.
extern bool gr_enter_needs_fence;

void gr_enter_slow(gr_worker *worker);
void gr_leave_slow(gr_worker *worker);

// Enters the runtime: the calling goroutine has a processor until it leaves.
// May switch. Any thread that runs a goroutine.
static inline void gr_enter(void) {
  gr_worker *w = gr_worker_self();
  atomic_store_explicit(&w->in_runtime, true, memory_order_relaxed);
  atomic_signal_fence(memory_order_seq_cst);
  if (GR_UNLIKELY(gr_enter_needs_fence))
    atomic_thread_fence(memory_order_seq_cst);
  if (GR_UNLIKELY(atomic_load_explicit(&w->retaking, memory_order_relaxed) ||
                  !atomic_load_explicit(&w->p, memory_order_relaxed)))
    gr_enter_slow(w);
}

// Leaves the runtime, after giving way if the slice is over.
static inline void gr_leave(void) {
  gr_worker *w = gr_worker_self();
  if (GR_UNLIKELY(atomic_load_explicit(&w->preempt, memory_order_relaxed) ==
                  atomic_load_explicit(&w->slice, memory_order_relaxed))) {
    gr_leave_slow(w);
    return;
  }
  // release: the monitor that sees false sees what was done inside
  atomic_store_explicit(&w->in_runtime, false, memory_order_release);
}

static inline gr_goroutine *gr_self(void) {
  gr_worker *w = gr_worker_self();
  return w ? atomic_load_explicit(&w->g, memory_order_relaxed) : NULL;
}

#endif
