// SPDX-License-Identifier: MIT
// A flow of control that is not running: its stack pointer, under which lies
// where and with which registers it goes on. Floating-point control words are
// not switched: the C ABI lets them be shared, and no Lua code changes them.
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

// What the tools must know, around a switch. The thread sanitizer may not count
// these calls: they begin on one stack and end on another.
#if defined(GR_ASAN) || defined(GR_TSAN)
void gr_context_about_to_switch(gr_context *from, gr_context *to,
                                bool for_good);
void gr_context_have_switched(gr_context *self);
#else
#define gr_context_about_to_switch(from, to, for_good) ((void)0)
#define gr_context_have_switched(self) ((void)0)
#endif

// The swap of stack pointers. On x86-64 it is in line, and goes on by a jump:
// calls and returns of either side stay paired, so that the processor predicts
// where a goroutine that goes on returns to.
#if defined(__x86_64__) && !defined(GR_UCONTEXT)
#ifdef __AVX512F__
#define GR_CONTEXT_WIDE                                                        \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",    \
      "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31",  \
      "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define GR_CONTEXT_WIDE
#endif
__attribute__((always_inline)) static inline void
gr_context_swap(gr_context *from, gr_context *to) {
  void **from_sp = &from->sp, *to_sp = to->sp;
  __asm__ volatile(
      "leaq -128(%%rsp), %%rsp\n\t" // the red zone is the compiler's
      "pushq %%rbp\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%0)\n\t"
      "movq %1, %%rsp\n\t"
      "popq %%rax\n\t"
      "jmp *%%rax\n"
      "1:\n\t"
      "popq %%rbp\n\t"
      "leaq 128(%%rsp), %%rsp"
      : "+D"(from_sp), "+S"(to_sp)
      :
      : "memory", "cc", "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11",
        "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
        "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15" GR_CONTEXT_WIDE);
}
#else
void gr_context_swap(gr_context *from, gr_context *to);
#endif

// Saves the caller in `from` and goes on in `to`; returns when somebody, on
// any thread, switches to `from`.
__attribute__((always_inline)) static inline void
gr_context_switch(gr_context *from, gr_context *to) {
  gr_context_about_to_switch(from, to, false);
  gr_context_swap(from, to);
  gr_context_have_switched(from);
}

// The same for a `from` that is never switched to again.
GR_NORETURN void gr_context_leave(gr_context *from, gr_context *to);

#endif
