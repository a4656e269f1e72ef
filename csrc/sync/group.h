// SPDX-License-Identifier: MIT
// Groups of tasks: who starts them waits for all of them; one that fails
// cancels the rest.
//
// A group lives in rounds. One ends when a wait finishes, which tells and
// forgets how it went; the next begins with the next task. In between the tasks
// are kept, for their results to be asked for.
//
// A task that ends first tells of its failure, and so cancels the rest, and
// only then counts as ended: so no round is over whose scope is still to be
// cancelled.
#ifndef GR_GROUP_H
#define GR_GROUP_H

#include "base/lock.h"
#include "sync/cancel.h"
#include "sync/object.h"
#include "sync/task.h"
#include "sync/waiter.h"

// How long a round keeps a task that has ended. The first failure of a round it
// keeps in any case.
typedef enum gr_group_keep {
  GR_KEEP_ALL,     // until the next round
  GR_KEEP_UNTAKEN, // until completed() has given it
  GR_KEEP_NONE,
} gr_group_keep;

// Invariants, under the lock:
//   nobody waits in `spawners` while fewer than `limit` are alive;
//   nobody waits in `takers` while `ended` is not empty, nor in `takers` or
//   `waiters` while none is alive.
typedef struct gr_group {
  gr_object object;
  uint32_t limit;     // how many may be alive; 0: any number. Constant
  bool collects;      // a failure does not cancel the rest. Constant
  gr_group_keep keep; // constant

  // Written under the lock; read by dumps.
  atomic_uint alive; // tasks that have not ended, and those just being started

  gr_lock lock;

  // Guarded by lock.
  gr_list members;        // of this round that are kept, in order of starting
  gr_list ended;          // those that completed() has not given, in order
  gr_list spawners;       // wait for a place
  gr_list waiters;        // wait for all
  gr_list takers;         // wait for one that has ended
  gr_task *failed;        // the first of this round, a member; or NULL
  gr_cancel_scope *scope; // where its tasks are; NULL once closed
  gr_cancellation *why;   // of the scope that it had, once closed; or NULL
  uint64_t round;
  bool is_over;   // the round is: the next task begins another
  bool is_stale;  // and it was cancelled, which the next has nothing to do with
  bool is_closed; // nobody may be started any more
} gr_group;

// A task of the group, or a place for one.
typedef struct gr_member gr_member;

// How a round went. All is well if there is neither.
typedef struct gr_group_outcome {
  gr_task *failed;      // the first one, with a reference; or NULL
  gr_cancellation *why; // it was cancelled before any failed; the same
} gr_group_outcome;

// Where a walk over the members is. Zeroed: at the beginning.
typedef struct gr_group_cursor {
  uint64_t round;
  gr_link *at;
} gr_group_cursor;

#define GR_GROUP_LIMIT_MAX 0x7fffffff

// With one reference, its scope in the parent (may be NULL); NULL when out of
// memory.
gr_group *gr_group_new(gr_cancel_scope *parent, uint32_t limit, bool collects,
                       gr_group_keep keep);

// Takes a place, waiting while there are too many alive. GR_CLOSED: the group
// is. Running goroutine, inside the runtime.
gr_status gr_group_reserve(gr_group *group, gr_member **place);

// Gives the place back.
void gr_group_unreserve(gr_member *place);

// Uses it for a goroutine that has not started, in the group's scope. Inside
// the runtime.
void gr_group_add(gr_member *place, gr_goroutine *g, gr_task *task);

// Waits until none is alive, and ends the round. Running goroutine, inside the
// runtime.
gr_status gr_group_wait(gr_group *group, uint64_t deadline_ns,
                        gr_group_outcome *outcome);

// The same, but tells nobody; no task can be started afterwards.
gr_status gr_group_close(gr_group *group);

// The next task that has ended and was not given before, with a reference;
// waits for it. NULL when all were given. Running goroutine, inside the
// runtime.
gr_status gr_group_take(gr_group *group, gr_task **task);

// The next member in order of being started, with a reference, or NULL: that
// was the last, or a new round has begun.
gr_task *gr_group_next(gr_group *group, gr_group_cursor *cursor);

// Cancels all that are in it; `why` NULL: without a reason. False if it was
// cancelled before, or is closed. *nomem is set when out of memory.
bool gr_group_cancel(gr_group *group, gr_cancellation *why, bool *nomem);

// Whether the running goroutine's task is one of it, which can never see the
// end of all.
bool gr_group_has(const gr_group *group, const gr_task *task);

#endif
