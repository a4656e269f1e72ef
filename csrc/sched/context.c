// SPDX-License-Identifier: MIT
// Contexts, on top of the register swap of the machine (switch_*.S) or of
// ucontext where there is none. ASan and TSan are told of every switch.
#include "sched/context.h"

#include <pthread.h>

#ifdef GR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef GR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if defined(GR_ASAN) || defined(GR_TSAN)
__attribute__((no_sanitize("thread"))) void
gr_context_about_to_switch(gr_context *from, gr_context *to, bool for_good) {
#ifdef GR_ASAN
  __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack,
                                 to->bottom, to->size);
#endif
#ifdef GR_TSAN
  __tsan_switch_to_fiber(to->fiber, 0);
#endif
  (void)from, (void)to, (void)for_good;
}

__attribute__((no_sanitize("thread"))) void
gr_context_have_switched(gr_context *self) {
#ifdef GR_ASAN
  __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
  (void)self;
}
#endif

static void describe(gr_context *context, void *base, size_t size) {
#ifdef GR_ASAN
  context->bottom = base;
  context->size = size;
  context->fake_stack = NULL;
#endif
#ifdef GR_TSAN
  context->fiber = base ? __tsan_create_fiber(0) : __tsan_get_current_fiber();
#endif
  (void)context, (void)base, (void)size;
}

void gr_context_init_thread(gr_context *context) {
  describe(context, NULL, 0);
#if defined(GR_ASAN) && defined(__linux__)
  pthread_attr_t attr;
  void *base = NULL;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attr) == 0) {
    pthread_attr_getstack(&attr, &base, &size);
    pthread_attr_destroy(&attr);
  }
  context->bottom = base;
  context->size = size;
#endif
}

void gr_context_fini(gr_context *context) {
#ifdef GR_TSAN
  __tsan_destroy_fiber(context->fiber);
#endif
  (void)context;
}

#ifdef GR_UCONTEXT

// makecontext takes int arguments only: a pointer goes through in two halves.
static void ucontext_entry(unsigned high, unsigned low) {
  gr_context *self = (gr_context *)(((uintptr_t)high << 32) | low);
  gr_context_have_switched(self);
  self->entry(self->arg);
}

void gr_context_init(gr_context *context, void *base, size_t size,
                     void (*entry)(void *), void *arg) {
  describe(context, base, size);
  getcontext(&context->uc);
  context->uc.uc_stack.ss_sp = base;
  context->uc.uc_stack.ss_size = size;
  context->uc.uc_link = NULL;
  context->entry = entry;
  context->arg = arg;
  uintptr_t self = (uintptr_t)context;
  makecontext(&context->uc, (void (*)(void))ucontext_entry, 2,
              (unsigned)(self >> 32), (unsigned)self);
}

void gr_context_swap(gr_context *from, gr_context *to) {
  swapcontext(&from->uc, &to->uc);
}

#else

// In switch_<machine>.S.
extern const char gr_switch_entry[];

typedef struct first_frame {
  gr_context *self;
  void (*entry)(void *);
  void *arg;
} first_frame;

// Called by gr_switch_entry with the address of the first frame.
void gr_context_begin(first_frame *first) __attribute__((used));

void gr_context_begin(first_frame *first) {
  gr_context_have_switched(first->self);
  first->entry(first->arg);
  GR_ASSERT(!"the entry of a context returned");
}

#if defined(__x86_64__)
// Where it goes on, and the argument, which gr_switch_entry takes.
enum { SAVED_WORDS = 2, RETURN_WORD = 0, ARG_WORD = 1 };
#elif defined(__aarch64__)
// x19 to x30, d8 to d15; x19 holds the argument, x30 the return address.
enum { SAVED_WORDS = 20, ARG_WORD = 0, RETURN_WORD = 11 };

void gr_switch_stacks(void **from_sp, void *to_sp);

void gr_context_swap(gr_context *from, gr_context *to) {
  gr_switch_stacks(&from->sp, to->sp);
}
#else
#error "no register swap for this machine: build with GR_UCONTEXT"
#endif

void gr_context_init(gr_context *context, void *base, size_t size,
                     void (*entry)(void *), void *arg) {
  describe(context, base, size);
  uintptr_t top =
      ((uintptr_t)base + size - sizeof(first_frame)) & ~(uintptr_t)63;
  first_frame *first = (first_frame *)top;
  *first = (first_frame){context, entry, arg};
  void **sp = (void **)top - 2 - SAVED_WORDS; // two words of a null frame
  for (int i = 0; i < SAVED_WORDS + 2; i++)
    sp[i] = NULL;
  sp[ARG_WORD] = first;
  sp[RETURN_WORD] = (void *)(uintptr_t)gr_switch_entry;
  context->sp = sp;
}

#endif

void gr_context_leave(gr_context *from, gr_context *to) {
  gr_context_about_to_switch(from, to, true);
  gr_context_swap(from, to);
  __builtin_unreachable();
}
