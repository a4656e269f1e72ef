// SPDX-License-Identifier: MIT
// Preemption: a signal to the worker's thread, whose handler arms an
// instruction-count hook on the coroutine that runs there; the hook removes
// itself and gives way.
//
// Arming is a hint that may be lost: the interpreter may clear the trap that
// the handler has just set. So each further signal arms again, whatever was
// armed before. A coroutine with a hook of somebody else's is not armed. One
// with a hook of the user's has our dispatcher (lib_debug.c), which asks
// gr_preempt_is_wanted itself.
#ifndef GR_PREEMPT_H
#define GR_PREEMPT_H

#include "base/base.h"
#include "sched/worker.h"

typedef struct lua_Debug lua_Debug;

// Installs the handlers of the preemption signal, of SIGPIPE and of SIGSEGV,
// once a process. False when the signal cannot be caught.
bool gr_preempt_init(void);

// Uses another signal from now on. False when it cannot be caught.
bool gr_preempt_set_signal(int sig);

// Lets the calling thread take the signal.
void gr_preempt_unblock(void);

// True when the running goroutine is to give way, or to leave.
static inline bool gr_preempt_is_wanted(void) {
  gr_worker *w = gr_worker_self();
  gr_goroutine *g =
      w ? atomic_load_explicit(&w->g, memory_order_relaxed) : NULL;
  return g && (atomic_load_explicit(&w->preempt, memory_order_relaxed) ==
                   atomic_load_explicit(&w->slice, memory_order_relaxed) ||
               !atomic_load_explicit(&w->p, memory_order_relaxed) ||
               atomic_load_explicit(&g->ends, memory_order_relaxed));
}

// Sets the hook that gives way, before the next instruction, on a coroutine
// that does not run meanwhile; unless it has another hook.
void gr_preempt_arm(lua_State *L);

// Takes it away, on a main's.
void gr_preempt_disarm(lua_State *L);

// Gives way if that is wanted; gets a processor if it was taken away. Running
// goroutine, outside the runtime.
void gr_preempt_poll(void);

// What hooks call in a goroutine that is struck; may raise. Set once.
extern void (*gr_preempt_on_strike)(lua_State *L, int count);

// The same, for hooks: on L, the coroutine that runs; the hook had been set to
// fire after so many instructions.
void gr_preempt_poll_in_hook(lua_State *L, int count);

// The hook that the handler arms.
void gr_preempt_hook(lua_State *L, lua_Debug *ar);

// The permanent hook of the mode GR_PREEMPT_COUNT, and its count.
void gr_preempt_count_hook(lua_State *L, lua_Debug *ar);
enum { GR_PREEMPT_COUNT_STEP = 10000 };

#endif
