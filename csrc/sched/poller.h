// SPDX-License-Identifier: MIT
// A processor's set of descriptors whose readiness goroutines wait for. Each is
// registered once, edge-triggered: the kernel tells changes, and the object
// remembers them. So no wait costs a system call of its own, and a descriptor
// may be added to the set of a processor whose worker sleeps without waking it.
//
// The set is itself a descriptor. The processor's loop watches it, which is how
// events reach a worker that sleeps; a worker that runs goroutines looks at it
// between them; the monitor watches the sets of processors at which nobody
// sleeps. Whoever collects the events makes goroutines runnable, nothing else.
//
// One thread at a time collects from a set. What is removed from it meanwhile
// may be among the events that this thread holds, so it is freed by that thread
// when it has finished (gr_pollee_free).
#ifndef GR_POLLER_H
#define GR_POLLER_H

#include <uv.h>

#include "base/base.h"
#include "base/lock.h"
#include "sched/goroutine.h"
#include "sched/loop.h"

typedef struct gr_poller gr_poller;
typedef struct gr_pollee gr_pollee;
typedef struct gr_processor gr_processor;

enum { GR_EVENT_READ = 1, GR_EVENT_WRITE = 2, GR_EVENT_HANGUP = 4 };

// What is registered; part of the object that owns the descriptor.
struct gr_pollee {
  gr_poller *home; // NULL until added; constant then
  // Called with the events by whoever collects: puts the goroutines whose waits
  // it has ended before *woken, linked by `next`. Takes what locks it needs.
  void (*deliver)(gr_pollee *pollee, unsigned events, gr_goroutine **woken);
  void (*free)(gr_pollee *pollee);
  gr_pollee *next_dead;
};

struct gr_poller {
  int fd; // constant
  // From just before the first descriptor is added; until then nobody looks at
  // the set. Sequentially consistent, before the waiter parks, so that the
  // monitor's next round sees it; relaxed where a processor looks at its own.
  atomic_bool is_used;

  gr_lock lock; // leaf
  // Guarded by lock.
  bool collecting;
  gr_pollee *dead; // to be freed when that has ended

  bool is_watched; // by the loop; under its token
  uv_poll_t watch;
  gr_loop_request request;

  // How often a worker has looked at it, roughly: relaxed.
  atomic_uint looks;

  // The monitor's alone.
  bool armed;             // it watches the set
  unsigned seen_looks;    // in its last round
  uint64_t seen_at_ns;    // since when they are so many
  unsigned seen_turns;    // of the processor by then
  uint64_t helped_at_ns;  // when it collected last
  uint64_t helped_cpu_ns; // that its worker had used by then
  unsigned helped_turns;  // of the processor
  bool helped_quick;      // that worker's turns were short
};

// Makes the set: with the processor, and not when it is first used, so that a
// program that is short of descriptors finds none taken by surprise. False when
// there is none left.
bool gr_poller_init(gr_poller *poller);

// Closes the set; nothing is in it. Before its loop is closed.
void gr_poller_fini(gr_poller *poller);

// Has the processor's loop and the monitor watch the set from now on. Before
// adding to it. Any thread, no locks held.
void gr_poller_use(gr_processor *p);

// Adds a descriptor to the set, which is in use: changes from now on are
// delivered, and what is ready now as the first of them. 0, or libuv's error
// code: UV_EPERM for files that are always ready. Any thread; locks may be
// held.
int gr_poller_add(gr_processor *p, gr_pollee *pollee, int fd);

// Takes it out. It may still be told events that are being collected.
void gr_poller_remove(gr_pollee *pollee, int fd);

// Calls its `free` when no event can reach it any more: now, or by whoever is
// collecting. It is in no set, or has been removed. Any thread.
void gr_pollee_free(gr_pollee *pollee);

// Collects what there is and makes goroutines runnable. Returns how many. An
// `idle` caller is going to run one of them itself; its processor, which is in
// use, may be gone afterwards: given to the worker of a bound goroutine.
// Without a descriptor in the set it costs nothing. Scheduler stacks and the
// monitor.
unsigned gr_poller_collect(gr_poller *poller, bool idle);

// --- for the monitor: a set of sets, each of which is told once ---

// Its descriptor, or libuv's error code.
int gr_watch_new(void);

// Has the next event in the set be told. False when that is not possible.
bool gr_watch_arm(int watch, gr_poller *poller);

// The sets with events, at most `room`; they are no longer armed.
unsigned gr_watch_take(int watch, gr_poller **pollers, unsigned room);

#endif
