// SPDX-License-Identifier: MIT
// The scheduler: which goroutine runs where. Its state, what the layers above
// may ask of it, and what its own files share.
#ifndef GR_SCHED_H
#define GR_SCHED_H

#include <signal.h>

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"
#include "sched/family.h"
#include "sched/goroutine.h"
#include "sched/loop.h"
#include "sched/processor.h"
#include "sched/worker.h"

enum {
  GR_PROCS_MAX = 1024,
  GR_THREADS_DEFAULT = 1000,
  GR_RETIRE_NS = 2000000000, // without work for so long: a thread ends
};

typedef enum gr_preempt_mode {
  GR_PREEMPT_SIGNAL,
  GR_PREEMPT_COUNT,
  GR_PREEMPT_OFF,
} gr_preempt_mode;

// A first-in first-out queue of goroutines.
typedef struct gr_fifo {
  gr_goroutine *first, **end;
  atomic_uint count; // written under the lock; read by anybody, as a hint
} gr_fifo;

typedef struct gr_sched {
  gr_lock lock;

  // Guarded by lock.
  // Go first, one of each in turn: a crowd of either kind does not keep the
  // other waiting.
  gr_fifo woken;     // by time or by events from outside
  gr_fifo displaced; // by others, and others were woken after them
  gr_fifo global;    // used up their slice, or yielded
  gr_processor *idle_processors;
  gr_worker *idle_workers;    // asleep, without a processor
  gr_list workers;            // all
  gr_list families;           // that have goroutines
  gr_list old_families;       // to be used again
  uint32_t without_processor; // goroutines in a C call that lost theirs
  uint32_t between;           // workers that may not be done, see worker.h
  uint32_t bound_wakes;       // of bound goroutines whose workers were busy
  uint32_t last_worker_id;
  uint32_t threads;  // of workers, hosts' among them
  bool wants_thread; // a processor with work got none; whoever goes idle helps

  // Grow only; written under lock.
  _Atomic(gr_processor *) processors[GR_PROCS_MAX];
  atomic_uint processors_made;

  atomic_uint procs; // how many processors may be held; written under lock

  // seq_cst: the idle/wake protocol, see idle.c.
  atomic_uint idle_count;
  atomic_uint searching;

  atomic_uint monitor_fires; // the monitor is running deadlines
  // Waits that something outside can end: a descriptor, a request, a signal.
  // Raised and lowered by the waiting goroutine itself while it runs, so that
  // it counts until the goroutine is seen to be runnable again.
  atomic_uint outside_waits;
  atomic_uint family_count; // in the list; written under lock
  _Atomic(uint64_t) last_id;
  atomic_bool stopping;

  // Now, to some milliseconds, while anything runs: for dumps.
  _Atomic(uint64_t) coarse_now_ns;
  // When the monitor last made somebody give way who computed. Relaxed: a hint.
  _Atomic(uint64_t) computed_at_ns;

  // Settings.
  uint32_t threads_max; // constant
  _Atomic(uint64_t) slice_ns;
  atomic_int preempt_mode;
  atomic_int preempt_signal;
  sigset_t host_mask; // signals that were blocked before we began

  // Counters for go.stats.
  atomic_ullong preemptions, steals, handoffs, retakes, signals;
} gr_sched;

extern gr_sched gr_the_sched;

// --- for the layers above; goroutine context, inside the runtime ---

// Parks the running goroutine: leaves its stack, marks it waiting, sets its
// deadline if that is not GR_NEVER, and then calls commit (may be NULL), which
// lets go of whatever makes it reachable for wakers. Returns when some claim
// has made it runnable again. The wait has been opened by gr_wait_open.
void gr_park(gr_wait_kind kind, const void *object, uint64_t deadline_ns,
             gr_commit commit, void *arg);

// Ends the wait of a goroutine that has been struck. True: it is the caller's
// to make runnable. The caller keeps it from ending, and has made a barrier
// since it was struck.
bool gr_wait_cancel(gr_goroutine *g);

// The next wait of the running goroutine is not ended by cancellations up to
// now; or not by the end of its family either, of which it is told once. What
// comes later ends it, so that who goes on waiting calls it again.
void gr_wait_ignore_cancel(void);
void gr_wait_ignore_all(void);

// Waits, for an instant, until a goroutine is off its stack that the caller has
// claimed without a lock of what it waits on: then it can be made runnable.
void gr_wait_until_parked(gr_goroutine *g);

// Makes a waiting goroutine runnable whose claim the caller has won. Goes next
// on the caller's processor. Outside all locks. Any thread.
void gr_ready(gr_goroutine *g);

// The same for one woken by time or from outside: goes ahead of those that
// used up a slice, on any processor.
void gr_ready_woken(gr_goroutine *g);

// The same for all in the list, linked by `next`, the last first, which events
// have woken. An `idle` caller is a worker that takes one of them itself.
// Returns how many.
unsigned gr_ready_events(gr_goroutine *list, bool idle);
void gr_ready_expired(gr_goroutine *list); // which time has woken

// Starts a new goroutine, as gr_ready.
void gr_start(gr_goroutine *g);

// Gives way to all others that are runnable.
void gr_yield(void);

// Ends the running goroutine; `commit` gets it when its stack is free.
GR_NORETURN void gr_finish(gr_commit commit, void *arg);

// Parks the running main goroutine until it is the only one. False if that can
// never be.
bool gr_wait_for_others(void);

// Moves the running goroutine off the thread of a main, if it is there; for
// what may block the thread. Returns on another worker, or where it was if it
// is bound.
void gr_leave_main_thread(void);

// Brackets a call that is going to block the thread: the processor goes to
// others, at once or as soon as there are any. Goroutine, outside the runtime.
void gr_block_begin(void);
void gr_block_end(void);

// Binds the running goroutine to its thread, and back.
void gr_bind(void);
bool gr_unbind(void); // false if it was not bound

// Sets the number of processors, 1 to GR_PROCS_MAX. False when there are no
// resources for so many.
bool gr_set_procs(uint32_t count);

// Goes on on another processor if the running goroutine's is one too many.
void gr_leave_surplus(void);

// --- between the files of this layer ---

void gr_sched_init(void);

// Calls urge(arg) again and again until it gives true, or a tenth of a second
// is over: false.
bool gr_insist(bool (*urge)(void *arg), void *arg);

// The scheduler's loop, on a scheduler stack; returns when the runtime stops.
void gr_sched_loop(gr_worker *w);

// A goroutine to run, or NULL when the runtime stops. Sleeps.
gr_goroutine *gr_sched_next(gr_worker *w);

void gr_fifo_push(gr_fifo *q, gr_goroutine *g); // under the lock
gr_goroutine *gr_fifo_pop(gr_fifo *q);          // under the lock

static inline bool gr_fifo_has_any(gr_fifo *q) { // a hint
  return atomic_load_explicit(&q->count, memory_order_relaxed) != 0;
}

static inline uint64_t gr_coarse_now(void) {
  return atomic_load_explicit(&gr_the_sched.coarse_now_ns,
                              memory_order_relaxed);
}

// For so long after the monitor has seen somebody compute, others probably do.
enum { GR_COMPUTED_NS = 30000000 };

static inline bool gr_nobody_computes(void) { // probably
  uint64_t last_ns =
      atomic_load_explicit(&gr_the_sched.computed_at_ns, memory_order_relaxed);
  return last_ns + GR_COMPUTED_NS < gr_coarse_now();
}

// How many are to go first. A hint, but under the lock.
static inline unsigned gr_count_woken(gr_sched *s) {
  return atomic_load_explicit(&s->woken.count, memory_order_relaxed) +
         atomic_load_explicit(&s->displaced.count, memory_order_relaxed);
}

// Fires what has expired on the processor, which its holder does now and then.
// True if there was something: then it may have been handed to another worker.
bool gr_look_for_expired(gr_processor *p);

// Pushes it to one of the scheduler's queues, or to the processor's own. Wakes
// nobody. Not under the lock.
void gr_push_shared(gr_fifo *q, gr_goroutine *g);
void gr_push_local(gr_processor *p, gr_goroutine *g);

// True if something is queued that could run in place of the worker's
// goroutine. A hint. Worker with a processor.
bool gr_others_wait(gr_worker *w);

// Wakes an idle processor if there is one and nobody searches for work yet.
// After work was queued, outside locks.
void gr_wake_processor(void);

// What a turn takes of those that run on the processor. Its holder.
uint64_t gr_turn_ns(const gr_processor *p);

// Searches for work and then sleeps until there may be some. Worker with a
// processor, scheduler stack. A goroutine, or NULL: look again.
gr_goroutine *gr_idle(gr_worker *w);

// The worker no longer counts as one who searches. If it was the last, another
// is woken, for there may be (more) work; but not if it is going to look at
// every queue once more itself.
void gr_stop_searching(gr_worker *w, bool wakes);

// Takes `p` from the worker, which goes on without; it is on its way to another
// one then. And gives it to one that has none. Under the lock.
void gr_detach_locked(gr_worker *w, gr_processor *p);
void gr_attach_locked(gr_worker *w, gr_processor *p);

// Puts a processor that is not held, or whose worker goes to sleep with it,
// into the idle list. Under the lock.
void gr_add_idle_locked(gr_processor *p);

// Takes it from there, for its worker or one that it will be given to. Under
// the lock.
void gr_remove_idle_locked(gr_processor *p);

// Gives a processor that is on its way to a worker that has none, made if need
// be. Not under the lock.
void gr_handoff(gr_processor *p, bool to_search);

// Sleeps until somebody hands this worker a processor, or the runtime stops.
void gr_wait_for_processor(gr_worker *w);

// Has the bound goroutine run by its own worker. Outside locks.
void gr_ready_bound(gr_goroutine *g);

// Once a process, before the first host. False when out of memory.
bool gr_worker_init_hosts(void);

// Makes the worker of the calling host's thread, which has no processor.
gr_worker *gr_worker_new_host(gr_goroutine *main);
// The running main has ended: its thread is the host's alone from now on.
void gr_worker_leave_host(void);
// Starts a thread. Its processor is handed to it. NULL when there is none.
gr_worker *gr_worker_start(gr_processor *p, bool to_search);
// Ends the thread's being a worker.
void gr_worker_fini(gr_worker *w);

// Gives a processor that nobody holds to the worker. False if there is none.
bool gr_take_idle_processor(gr_worker *w);

// Takes its processor from a worker that does not come back for it. It becomes
// idle, and what is queued there goes to others.
void gr_leave_processor(gr_worker *w);

// Asks the worker's goroutine to give way: to what was woken, after so much of
// its slice, with which it then goes on; or for the slice is over: 0. Under the
// lock.
void gr_preempt_locked(gr_worker *w, uint64_t had_ns);

// True unless all processors sleep and no goroutine is in a C call without one.
bool gr_any_busy_locked(void);

// Looks whether all goroutines wait for ever, and if so ends the wait of main.
// Under the lock, by the last one to go idle.
gr_goroutine *gr_deadlock_check_locked(void);

#endif
