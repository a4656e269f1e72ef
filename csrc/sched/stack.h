// SPDX-License-Identifier: MIT
// C stacks of goroutines. They are cut from slabs of address space, are backed
// by memory only where they are touched, and are reused while still warm.
//
// Below each stack is a guard page, where the kernel lets us have one for the
// asking (MADV_GUARD_INSTALL), or while mappings are plenty (mprotect). Beyond
// that bound a stack has none: its lowest word is then watched instead, at
// each switch, which finds an overflow afterwards.
#ifndef GR_STACK_H
#define GR_STACK_H

#include "base/base.h"

typedef struct gr_stack {
  struct gr_stack *next; // in a free list
  char *base;            // lowest usable address
  size_t size;           // usable bytes, this header at their end included
  bool guarded;
  unsigned valgrind_id;
} gr_stack;

// A stack of the configured size, or NULL when out of memory. Any thread.
gr_stack *gr_stack_new(void);

// Sees to it that there will be one to take, which is then the warmest of all
// that are free: what is to run needs none before it does. False when out of
// memory. Any thread.
bool gr_stack_reserve(void);
gr_stack *gr_stack_take(void);
void gr_stack_unreserve(void);

// Gives a stack back that nobody runs on. Any thread.
void gr_stack_free(gr_stack *stack);

// Sets the size of stacks made from now on, in bytes, rounded up to pages.
// False when out of memory: nothing is changed.
bool gr_stack_set_size(size_t bytes);
size_t gr_stack_get_size(void);

// At most this many stacks get a guard page by mprotect; for tests, `forced`
// pretends that the kernel has no MADV_GUARD_INSTALL.
void gr_stack_limit_guards(uint32_t count, bool forced);

// How many stacks exist, in use or not, and how many of them lack a guard.
void gr_stack_count(uint32_t *all, uint32_t *unguarded);

// True when `address` lies in the guard page below the stack.
bool gr_stack_is_guard(const gr_stack *stack, const void *address);

// The word that stays 0 in a stack without a guard until that is overrun; NULL
// if there is a guard.
static inline const uint64_t *gr_stack_watched(const gr_stack *stack) {
  return stack->guarded ? NULL : (const uint64_t *)stack->base;
}

// False when such a stack has been overrun.
static inline bool gr_stack_is_intact(const uint64_t *watched) {
  return GR_LIKELY(!watched) || *(const volatile uint64_t *)watched == 0;
}

#endif
