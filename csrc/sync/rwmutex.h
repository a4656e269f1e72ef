// SPDX-License-Identifier: MIT
// Locks that many readers may hold together, or one writer alone. They are
// given in the order of arrival: who comes while anybody waits, waits as well,
// so that neither readers nor writers starve.
//
// The word counts the readers, and has two flags: WRITER (a writer has it) and
// WAITERS. Invariants:
//   WAITERS is set if and only if somebody is queued; it changes under the lock
//   while it is set, nobody takes anything but by being given it under the lock
//   the first in the queue cannot be given what it waits for
// Hence the writer, or the last reader, lets go under the lock when WAITERS is
// set, and gives to the next.
#ifndef GR_RWMUTEX_H
#define GR_RWMUTEX_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

typedef struct gr_rwmutex {
  gr_object object;
  // acquire by who takes it, pairs with the release by who lets it go
  _Atomic(uint64_t) word;
  // The writer's id, or 0. Written by the writer, or by who gives it the lock.
  _Atomic(uint64_t) writer;

  gr_lock lock;
  gr_list waiters; // guarded by lock; of struct rw_waiter
} gr_rwmutex;

enum { GR_RW_WRITER = 1, GR_RW_WAITERS = 2, GR_RW_READER = 4 };

// With one reference, or NULL when out of memory.
gr_rwmutex *gr_rwmutex_new(void);

// Takes it at once, if that can be. The running goroutine, inside the runtime
// or not.
bool gr_rwmutex_try_read(gr_rwmutex *rw);
bool gr_rwmutex_try_write(gr_rwmutex *rw, gr_goroutine *g);

// GR_OK: the running goroutine has it. Inside the runtime.
gr_status gr_rwmutex_read(gr_rwmutex *rw, uint64_t deadline_ns);
gr_status gr_rwmutex_write(gr_rwmutex *rw, uint64_t deadline_ns);

// Lets go. False if nobody reads; if the running goroutine is not the writer.
// Inside the runtime.
bool gr_rwmutex_unread(gr_rwmutex *rw);
bool gr_rwmutex_unwrite(gr_rwmutex *rw);

// The same if nobody waits; else nothing is done. Inside the runtime or not.
bool gr_rwmutex_unread_quickly(gr_rwmutex *rw);

// The id of who writes at this moment, or 0; and how many read.
uint64_t gr_rwmutex_writer(const gr_rwmutex *rw);
uint64_t gr_rwmutex_readers(const gr_rwmutex *rw);

#endif
