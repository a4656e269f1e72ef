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
  gr_deadline alarm;              // has a reference while it is set

  // Guarded by the lock of all scopes.
  gr_link sibling;
  gr_list children, members; // members: goroutines whose innermost it is
  gr_cancellation *why;      // NULL: not cancelled
} gr_cancel_scope;

// Makes one in the parent (may be NULL), which is cancelled at the deadline, if
// that is not GR_NEVER. NULL when out of memory. Goroutine, inside the runtime.
gr_cancel_scope *gr_cancel_scope_new(gr_cancel_scope *parent,
                                     uint64_t deadline_ns);

// Moves a goroutine, the running one or one that has not started, into the
// scope, or out of all: NULL.
void gr_cancel_enter(gr_goroutine *g, gr_cancel_scope *scope);

// Cancels all that are in it. False if it was cancelled before.
bool gr_cancel_all(gr_cancel_scope *scope, gr_cancellation *why);

// Cancels the task's goroutine. False if that has ended.
bool gr_cancel_task(gr_task *task, gr_cancellation *why);

// Whether it is cancelled; and why, with a reference, or NULL.
bool gr_cancel_is_cancelled(gr_cancel_scope *scope);
gr_cancellation *gr_cancel_why(gr_cancel_scope *scope);

// Why the running goroutine is cancelled, with a reference: itself, or the
// outermost of its scopes. NULL: it is not.
gr_cancellation *gr_cancel_reason(gr_goroutine *g);

// The innermost scope of the running goroutine that is not cancelled, or NULL;
// with a reference.
gr_cancel_scope *gr_cancel_open_scope(gr_goroutine *g);

#endif
