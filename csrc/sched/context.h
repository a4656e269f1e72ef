// SPDX-License-Identifier: MIT
// A flow of control that is not running: its stack pointer, under which its
// callee-saved registers lie. Floating-point control words are not switched:
// the C ABI lets them be shared, and no Lua code changes them.
#ifndef GR_CONTEXT_H
#define GR_CONTEXT_H

#include "base/base.h"

#ifdef GR_UCONTEXT
#include <ucontext.h>
#endif

typedef struct gr_context {
#ifdef GR_UCONTEXT
  ucontext_t uc;
  void (*entry)(void *);
  void *arg;
#else
  void *sp;
#endif
#ifdef GR_ASAN
  void *fake_stack;
  const void *bottom;
  size_t size;
#endif
#ifdef GR_TSAN
  void *fiber;
#endif
} gr_context;

// Describes the stack that the calling thread is on, so that it can be
// switched away from and back to.
void gr_context_init_thread(gr_context *context);

// Prepares a context that will call entry(arg) on the stack [base, base+size)
// when it is first switched to. `entry` never returns.
void gr_context_init(gr_context *context, void *base, size_t size,
                     void (*entry)(void *), void *arg);

// Frees what the tools keep for a context that is never switched to again.
void gr_context_fini(gr_context *context);

// Saves the caller in `from` and goes on in `to`; returns when somebody, on
// any thread, switches to `from`.
void gr_context_switch(gr_context *from, gr_context *to);

// The same for a `from` that is never switched to again.
GR_NORETURN void gr_context_leave(gr_context *from, gr_context *to);

#endif
