// SPDX-License-Identifier: MIT
// A descriptor that goroutines wait for: of a socket or a pipe, not blocking.
// An operation tries the system call at once, and waits only when that would
// block:
//
//   gr_descriptor_begin(d, GR_READ)
//   while ((n = read(d->fd, ...)) would block)
//     gr_descriptor_wait(d, GR_READ, ...)
//   gr_descriptor_end(d, GR_READ)
//
// Between begin and end the number stays open: closing wakes those who wait,
// and closes the number when the last one has left, so that no system call
// meets another file under it. `begin` also keeps a second reader or writer
// out, but for shared descriptors (listeners, datagrams).
#ifndef GR_DESCRIPTOR_H
#define GR_DESCRIPTOR_H

#include "base/list.h"
#include "io/io.h"
#include "sched/poller.h"

typedef enum gr_direction { GR_READ, GR_WRITE } gr_direction;

typedef struct gr_side {
  // What is known of readiness: false only after the last system call found
  // nothing more and no event has come since. Written by the one who makes
  // system calls, before each, and by events, under the lock; seq_cst.
  atomic_bool ready;

  // Guarded by the descriptor's lock.
  gr_list waiters;
  bool busy;            // an operation that excludes others is under way
  uint64_t timeout_ns;  // of each operation; GR_NEVER for none
  uint64_t deadline_ns; // of the one under way
} gr_side;

typedef struct gr_descriptor {
  gr_pollee pollee;
  int fd;          // constant until it is closed
  bool is_shared;  // constant
  bool keeps_open; // constant: closing leaves the number to others

  gr_lock lock; // nobody is woken while it is held
  // Guarded by lock.
  unsigned users;   // operations under way
  bool never_waits; // a regular file
  // Written under lock, read by operations under way.
  atomic_bool closed;
  atomic_bool registered; // in a poller's set, or a file that needs none
  atomic_bool hung_up;    // from now on every operation tries at once
  gr_side side[2];
} gr_descriptor;

// `fd` is the object's from now on. `release` frees the object, when no event
// can reach it any more.
void gr_descriptor_init(gr_descriptor *d, int fd,
                        void (*release)(gr_pollee *pollee));

// Closes what is not closed, and has the object freed. Its last user; any
// thread, also outside the runtime.
void gr_descriptor_free(gr_descriptor *d);

// Begins and ends an operation. 0, GR_CLOSED, or GR_BUSY.
int gr_descriptor_begin(gr_descriptor *d, gr_direction direction);
void gr_descriptor_end(gr_descriptor *d, gr_direction direction);

// Says that a system call follows, whose result takes effect on readiness as
// told below.
static inline void gr_descriptor_try(gr_descriptor *d, gr_direction direction) {
  atomic_store(&d->side[direction].ready, false);
}

// That call did all it was asked for: there may be more.
static inline void gr_descriptor_more(gr_descriptor *d,
                                      gr_direction direction) {
  atomic_store(&d->side[direction].ready, true);
}

// Whether a system call may find something; a hint.
static inline bool gr_descriptor_is_ready(gr_descriptor *d,
                                          gr_direction direction) {
  return !atomic_load(&d->registered) ||
         atomic_load(&d->side[direction].ready) || atomic_load(&d->hung_up);
}

// As gr_descriptor_more, of a shared descriptor: another one who waits tries.
void gr_descriptor_pass_on(gr_descriptor *d, gr_direction direction);

// Parks until the descriptor is ready, or may be. *deadline_ns is guarded by
// the lock, for it may be changed by others (gr_descriptor_set_timeout).
// 0, a status, or an error of registering. Between begin and end.
int gr_descriptor_wait(gr_descriptor *d, gr_direction direction,
                       gr_wait_kind kind, const uint64_t *deadline_ns);

// The same with the deadline of the operation under way.
static inline int gr_descriptor_wait_own(gr_descriptor *d,
                                         gr_direction direction,
                                         gr_wait_kind kind) {
  return gr_descriptor_wait(d, direction, kind,
                            &d->side[direction].deadline_ns);
}

// Sets how long each operation may take, also the one under way, from now on.
void gr_descriptor_set_timeout(gr_descriptor *d, gr_direction direction,
                               uint64_t timeout_ns);

// Ends the descriptor's use: operations under way end with GR_CLOSED. False if
// it was closed already. Any thread.
bool gr_descriptor_close(gr_descriptor *d);

static inline bool gr_descriptor_is_closed(gr_descriptor *d) {
  return atomic_load(&d->closed);
}

// How many descriptors are open.
unsigned gr_descriptor_count(void);

#endif
