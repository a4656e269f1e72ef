// SPDX-License-Identifier: MIT
// A family: a main goroutine and all that stem from it. Each has its own count,
// deadlock and end; the processors and the settings of the scheduler are of the
// process. No value crosses from one family to another, so that only its own
// goroutines, time, and events from outside can wake a goroutine.
#ifndef GR_FAMILY_H
#define GR_FAMILY_H

#include "base/base.h"
#include "base/list.h"

typedef struct gr_goroutine gr_goroutine;

// Kept for the next one when its last goroutine has ended, and never freed:
// what is late, such as a timer, finds it.
typedef struct gr_family {
  // Guarded by the scheduler's lock.
  gr_link all; // in the list of all that have goroutines, or of those kept
  gr_list goroutines;
  gr_goroutine *waits_for_others; // main in gr_wait_for_others

  atomic_bool is_over; // main's state is closed; written under the lock
  atomic_uint count;   // of its goroutines
  // What may wake one of them besides the others, but for waits that have a
  // timeout or are for something outside: armed alarms until they have been
  // fired, subscriptions. seq_cst, see deadlock.c.
  atomic_uint sources;

  void *settings; // of the layers above, who keep them
} gr_family;

// A family without goroutines, or NULL when out of memory.
gr_family *gr_family_new(void);

// The running goroutine's.
gr_family *gr_family_self(void);

// Ends the family of the running main, which goes on without the scheduler:
// what waits, fails. The others are ended where they are, as soon as they run.
// Returns when none is anywhere else than in that, or after a tenth of a
// second: then a thread is in a long C call: false. Outside the runtime.
bool gr_family_end(void);

// Frees what is left of a main on this thread that has ended, with its owner.
// Set once, at start.
extern void (*gr_family_forget_main)(void *owner);

// --- threads without the runtime ---

// A main has ended, or the process was forked.
extern atomic_bool gr_some_are_apart;
bool gr_is_apart_slow(void);

// The calling thread, which has had a goroutine, has no scheduler (any more):
// nothing can be waited for.
static inline bool gr_is_apart(void) {
  return GR_UNLIKELY(
             atomic_load_explicit(&gr_some_are_apart, memory_order_relaxed)) &&
         gr_is_apart_slow();
}

// --- between the files of this layer; under the scheduler's lock ---

void gr_family_add_locked(gr_family *f, gr_goroutine *g);
void gr_family_remove_locked(gr_family *f, gr_goroutine *g);

// Looks whether all of the family wait for ever, while other families may run.
// True: the wait of main has been ended, and it is the caller's to ready.
gr_goroutine *gr_family_check_locked(gr_family *f);

#endif
