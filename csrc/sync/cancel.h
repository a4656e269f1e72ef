// SPDX-License-Identifier: MIT
// Cancellation: of one goroutine, or of all in a scope. A scope is where a
// goroutine is for a while (go.with_timeout), and where those are that it
// starts meanwhile; scopes lie in one another. Cancelling is to set a flag and
// to end the waits under way; what is made of that is the layer above's.
#ifndef GR_CANCEL_H
#define GR_CANCEL_H

#include "base/base.h"
#include "sched/deadline.h"
#include "sched/goroutine.h"
#include "sync/object.h"
#include "sync/task.h"
#include "value/message.h"

// Why; what the error is that a cancelled goroutine gets.
typedef struct gr_cancellation {
  gr_object object;
  gr_block *reason; // constant; or NULL
} gr_cancellation;

// Takes over the reason, if there is memory. NULL when there is none.
gr_cancellation *gr_cancellation_new(gr_block *reason);

typedef struct gr_cancel_scope {
  gr_object object;
  struct gr_cancel_scope *parent; // or NULL; with a reference
  gr_cancellation *own;           // of its deadline; or without a reason
  uint64_t deadline_ns;           // constant; GR_NEVER: it has none
  gr_deadline alarm;              // has a reference while it is set

  // Guarded by the lock of all scopes.
  gr_link sibling;
  gr_list children, members; // members: goroutines whose innermost it is
  gr_cancellation *why;      // cancelled itself; those around it may be, too
} gr_cancel_scope;

// How many scopes there are, at most.
#define GR_ALL_SCOPES UINT_MAX

// Makes one in the parent (may be NULL), which is cancelled at the deadline, if
// that is not GR_NEVER; at once: GR_POLL. NULL when out of memory. Goroutine,
// inside the runtime.
gr_cancel_scope *gr_cancel_scope_new(gr_cancel_scope *parent,
                                     uint64_t deadline_ns);

// Moves a goroutine, the running one or one that has not started, into the
// scope, or out of all: NULL.
void gr_cancel_enter(gr_goroutine *g, gr_cancel_scope *scope);

// Cancels all that are in it. False, and nothing is done, if it was cancelled
// before, or is in one that was.
bool gr_cancel_all(gr_cancel_scope *scope, gr_cancellation *why);

// Ends the wait of the task's goroutine, which then looks again whether it is
// struck.
void gr_cancel_wake(gr_task *task);

// Cancels the task's goroutine. False if that has ended.
bool gr_cancel_task(gr_task *task, gr_cancellation *why);

// Whether it is cancelled, or one around it; and why, with a reference, or
// NULL.
bool gr_cancel_is_cancelled(gr_cancel_scope *scope);
gr_cancellation *gr_cancel_why(gr_cancel_scope *scope);

// Why the running goroutine is cancelled by those of its scopes, counted from
// the innermost one, that come after the first `from` and before `to`: the
// outermost that is cancelled itself; with a reference. GR_ALL_SCOPES includes
// the task. NULL: it is not.
gr_cancellation *gr_cancel_reason(gr_goroutine *g, unsigned from, unsigned to);

// The scope for what the running goroutine starts while only its innermost
// `reach` scopes are not held back: it is cancelled when one of those is, or
// one further out that is not yet. With a reference; it may be NULL. False when
// out of memory. Inside the runtime.
bool gr_cancel_scope_within(gr_goroutine *g, unsigned reach,
                            gr_cancel_scope **scope);

#endif
