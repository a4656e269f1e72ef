// SPDX-License-Identifier: MIT
// The run queue of a processor: a ring that its owner fills and empties, and
// from which other workers steal half (after Go's runq); and beside it one
// slot for the goroutine that goes next.
//
// Protocol. Only the owner writes `tail` and the slots; whoever takes, owner
// or thief, advances `head` by compare-and-swap. The indexes run freely, so
// that a slot is reused only 2^32 operations later.
#ifndef GR_RUNQ_H
#define GR_RUNQ_H

#include "base/base.h"

typedef struct gr_goroutine gr_goroutine;

enum { GR_RUNQ_ROOM = 256 };

typedef struct gr_runq {
  atomic_uint head; // advanced by whoever takes
  atomic_uint tail; // written by the owner; release, acquire in steal
  _Atomic(gr_goroutine *) next; // set by the owner; may be taken by a thief
  _Atomic(gr_goroutine *) ring[GR_RUNQ_ROOM];
} gr_runq;

void gr_runq_init(gr_runq *q);

// Owner: appends. False when full.
bool gr_runq_push(gr_runq *q, gr_goroutine *g);

// Owner: takes the oldest, or NULL.
gr_goroutine *gr_runq_pop(gr_runq *q);

// Owner: puts `g` into the next slot, and gives back what it displaces.
gr_goroutine *gr_runq_set_next(gr_runq *q, gr_goroutine *g);

// Owner: takes what goes next, or NULL.
gr_goroutine *gr_runq_pop_next(gr_runq *q);

// Any worker: moves half of the ring of `from` to the own queue `to` and
// gives one of them to the caller, or NULL.
gr_goroutine *gr_runq_steal(gr_runq *to, gr_runq *from);

// Any worker: takes `g` out of the next slot if it is still there.
bool gr_runq_steal_next(gr_runq *from, gr_goroutine *g);

// How many are in the ring; exact only for the owner.
uint32_t gr_runq_count(gr_runq *q);

#endif
