// SPDX-License-Identifier: MIT
// A goroutine: a flow of control with a C stack, running one Lua state.
//
// Status, and who owns the goroutine then (may write what is not atomic):
//
//   runnable  the queue that holds it
//   running   the worker whose `g` it is
//   waiting   whoever wins its claim
//   done      its worker, which recycles it
//
// A wait is one use of the claim word. The goroutine opens it (gr_wait_open)
// while it holds the locks of all objects that it will be queued on; whoever
// wants to end the wait must move the word from the open value of that very
// wait (the ticket) to a reason. One does; only that one makes it runnable.
#ifndef GR_GOROUTINE_H
#define GR_GOROUTINE_H

#include "base/base.h"
#include "base/fetch.h"
#include "base/list.h"
#include "sched/context.h"
#include "sched/deadline.h"
#include "sched/stack.h"

typedef struct lua_State lua_State;
typedef struct gr_worker gr_worker;

typedef enum gr_goroutine_status {
  GR_RUNNABLE = 1,
  GR_RUNNING,
  GR_WAITING,
  GR_DONE,
} gr_goroutine_status;

// Why a goroutine waits, as dumps tell it.
typedef enum gr_wait_kind {
  GR_WAIT_NONE,
  GR_WAIT_SEND,
  GR_WAIT_RECV,
  GR_WAIT_SELECT,
  GR_WAIT_SELECT_NONE,
  GR_WAIT_SLEEP,
  GR_WAIT_JOIN,
  GR_WAIT_MUTEX,
  GR_WAIT_RLOCK,
  GR_WAIT_WLOCK,
  GR_WAIT_GROUP,
  GR_WAIT_ONCE,
  GR_WAIT_COND,
  GR_WAIT_SEMAPHORE,
  GR_WAIT_BARRIER,
  GR_WAIT_MAP,
  GR_WAIT_TASKS,                        // of a group
  GR_WAIT_PLACE,                        // in one
  GR_WAIT_OTHERS,                       // main, after go.exit
  GR_WAIT_LAST_INSIDE = GR_WAIT_OTHERS, // what follows, others end
  GR_WAIT_READ,                         // of a descriptor
  GR_WAIT_WRITE,
  GR_WAIT_ACCEPT,
  GR_WAIT_CONNECT,
  GR_WAIT_REQUEST, // made of libuv
  GR_WAIT_PROCESS,
} gr_wait_kind;

// The low bits of the claim word: who ended the wait.
enum {
  GR_CLAIM_OPEN = 0,
  GR_CLAIM_OBJECT, // the object waited on; `woken_by` tells which waiter
  GR_CLAIM_TIMEOUT,
  GR_CLAIM_NOMEM,
  GR_CLAIM_DEADLOCK,
  GR_CLAIM_INTERRUPT,
  GR_CLAIM_STOPPED, // its family has ended, or the process ends
  GR_CLAIM_CANCEL,
  GR_CLAIM_MASK = 7,
};

// Why a goroutine is struck.
enum {
  GR_STRUCK_CPU = 1,    // it has used up its CPU time
  GR_STRUCK_CANCEL = 2, // it is cancelled, or in a scope that is
  GR_STRUCK_END = 4,    // its family has ended
  GR_STRUCK_ONCE = 8,   // the bits from here on count cancellations
};

typedef uint32_t gr_ticket;

typedef struct gr_goroutine gr_goroutine;

// What is used at each switch and each wait is in the first three cache lines:
// of many goroutines, most are in no cache when they are woken.
struct gr_goroutine {
  // To wake it, and to switch to it.
  _Alignas(GR_LINE_BYTES) gr_context context;
  gr_stack *stack;    // NULL for a main goroutine, and until it first runs
  gr_goroutine *next; // in a queue

  atomic_uint status; // gr_goroutine_status; release, acquire by wakers
  atomic_uint claim;  // serial number << 3 | GR_CLAIM_...
  // How many read it; see examine.h. And the highest bit: its family has ended.
  atomic_uint examined;
  // What it has to be told: GR_STRUCK_... Set by anybody; see sync/cancel.c.
  atomic_uint struck;

  // The worker whose thread it must run on, or NULL. Written by the goroutine.
  gr_worker *bound;
  // The coroutine that runs, which is the one to arm. Written by the goroutine
  // and by nobody else; read by the signal handler on its thread, and by dumps
  // while it waits.
  lua_State *volatile current;
  // The lowest word of its stack, if that has no guard; else NULL.
  const uint64_t *watched;

  gr_deadline deadline; // of the present wait
  // What is fetched before it goes on: so much of its state's memory. NULL, if
  // nothing is known.
  const gr_lines *hot;
  const char *memory;

  // Written by the owner of the claim, before it makes the goroutine runnable.
  void *woken_by;

  // The last wait, for dumps. The object, if any: the channel, the cases of a
  // select, the task that is joined, the object of sync, the entry of a map.
  // Valid while the goroutine waits, and then until it has left the function
  // that waited.
  const void *wait_object;
  uint64_t wait_since_ns;          // by the coarse clock
  _Atomic(gr_wait_kind) wait_kind; // relaxed, as the next
  atomic_bool wait_is_timed;       // it has a deadline
  bool is_main;
  // It has C code loaded that is not the standard library's or ours, which may
  // block its thread unannounced: it does not run on the thread of a main.
  atomic_bool foreign;
  // Its own: `foreign` for good, since there is such code in its state.
  bool has_c_modules;
  // The goroutine's own. Its present wait is not ended by what `struck` told
  // when it had this value; by what has come later, it is. 0: by anything.
  unsigned ignored;
  uint32_t waits; // how many it has begun; its own
  // It goes on with the rest of a slice: how much of that it has had. Its
  // queue's.
  uint64_t had_ns;
  // CPU time: only counted where there is a limit (not 0). Written by the
  // thread that runs it; read by the monitor. `since` is of that thread.
  _Atomic(uint64_t) cpu_limit_ns;
  uint32_t looks_at; // when `waits` is this, it finds out what is hot; its own

  // The rest.
  void *block; // in which it is
  _Atomic(uint64_t) cpu_used_ns, cpu_since_ns;

  // The ticket of its last wait before it was last made to give way, or
  // GR_NEW. Its own; relaxed, for the monitor reads it.
  atomic_uint computed_since;
  uint32_t bound_count; // lock_thread calls not yet undone
  bool may_move;        // of a main: its thread is the process's first
  bool is_over;     // of a main: it has ended, and goes on without scheduler
  atomic_bool ends; // its family has ended, and it runs to leave
  bool is_lean;     // its own: its state is not full, see lib/state.c
  uint32_t traced_wake; // the tracer's; its owner's

  void (*entry)(gr_goroutine *g);
  void *owner; // the task, for the layers above

  struct gr_cancel_scope *scope; // the innermost; changed by itself
  gr_link scope_link;            // guarded by the lock of all scopes

  uint64_t id;
  // Mutexes it holds. Its own; too high after one was freed while it held it.
  uint32_t held;
  lua_State *L; // its state's main thread; written before it runs
  // The signal handler's on its thread: what it armed last, how long that took.
  lua_State *armed;
  uint64_t arming_ns;
  // The running coroutines below `current`, innermost first.
  struct gr_resume *resumes;
  // Of a main: its hook when it began to wait. If it changes, the host's
  // Ctrl-C handler was there.
  _Atomic(uintptr_t) hook_at_park; // the function's address

  struct gr_family *family; // constant
  gr_link all;              // in the family's list
};

// One lua_resume in progress, on the C stack of its goroutine; or one
// lua_resetthread.
typedef struct gr_resume {
  lua_State *from;
  lua_State *co;   // which it has resumed
  bool is_closing; // or whose handlers it runs, on what is left of its stack
  struct gr_resume *outer;
} gr_resume;

// Makes a goroutine, which will call entry(g). It is in no queue; gr_ready...
// starts it. NULL when out of memory.
gr_goroutine *gr_goroutine_new(void (*entry)(gr_goroutine *g), void *owner,
                               struct gr_family *family);

// Gives it the stack that has been reserved for it. Before it first runs, by
// its worker, so that those that are started and end in turn share a warm one.
void gr_goroutine_prepare(gr_goroutine *g);

// Makes the goroutine of a host's thread, running, and its family.
gr_goroutine *gr_goroutine_new_main(void);

// Frees that, which is in no family any more, when its thread has ended.
void gr_goroutine_free_main(gr_goroutine *main);

// Takes it out of its family. It does not run any more.
void gr_goroutine_delist(gr_goroutine *g);

// Frees a goroutine that is done or has never been started, stack and all.
void gr_goroutine_free(gr_goroutine *g);

// Opens a wait of the running goroutine. Called with the locks of all objects
// held that the wait will be known to.
static inline gr_ticket gr_wait_open(gr_goroutine *g) {
  unsigned word = atomic_load_explicit(&g->claim, memory_order_relaxed);
  gr_ticket ticket = (word & ~(unsigned)GR_CLAIM_MASK) + GR_CLAIM_MASK + 1;
  atomic_store_explicit(&g->claim, ticket, memory_order_release);
  return ticket;
}

enum { GR_NEW = 1 }; // no ticket

static inline gr_ticket gr_last_ticket(gr_goroutine *g) {
  return atomic_load_explicit(&g->claim, memory_order_relaxed) &
         ~(unsigned)GR_CLAIM_MASK;
}

// True of one that has not waited since it was made to give way.
static inline bool gr_has_computed(gr_goroutine *g) {
  return gr_last_ticket(g) ==
         atomic_load_explicit(&g->computed_since, memory_order_relaxed);
}

// The same, or it is new: others that were woken go first.
static inline bool gr_is_patient(gr_goroutine *g) {
  return gr_has_computed(g) ||
         (gr_last_ticket(g) == 0 &&
          atomic_load_explicit(&g->computed_since, memory_order_relaxed) ==
              GR_NEW);
}

// Tries to end the wait that has this ticket. True for one caller only.
static inline bool gr_wait_claim(gr_goroutine *g, gr_ticket ticket,
                                 unsigned reason) {
  unsigned open = ticket;
  return atomic_compare_exchange_strong_explicit(
      &g->claim, &open, ticket | reason, memory_order_acq_rel,
      memory_order_relaxed);
}

// How the running goroutine's last wait ended.
static inline unsigned gr_wait_reason(gr_goroutine *g) {
  return atomic_load_explicit(&g->claim, memory_order_acquire) & GR_CLAIM_MASK;
}

// What that is for the caller of an operation; not for GR_CLAIM_OBJECT.
gr_status gr_wait_status(gr_goroutine *g);

#endif
