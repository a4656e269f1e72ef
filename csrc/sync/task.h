// SPDX-License-Identifier: MIT
// A task: what others know of a goroutine, while it runs and afterwards. Its
// name and number, how it ended, and who waits for that.
#ifndef GR_TASK_H
#define GR_TASK_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/refs.h"
#include "sched/goroutine.h"
#include "value/message.h"

typedef enum gr_task_state {
  GR_TASK_ALIVE,
  GR_TASK_DONE,      // `outcome` holds its results, if there are any
  GR_TASK_FAILED,    // `outcome` holds the error and the traceback
  GR_TASK_CANCELLED, // the same, and it is no fault
} gr_task_state;

enum { GR_CREATOR_BYTES = 96 };

typedef struct gr_task {
  gr_refs refs;
  uint64_t id;                    // constant, as is all up to the lock
  char *name;                     // or NULL
  char creator[GR_CREATOR_BYTES]; // "file:line" of the call that started it
  uint64_t parent;                // the id of the goroutine that did
  struct gr_family *family;
  bool detached;         // started by go(): an error is reported at once
  size_t memory_limit;   // 0: none
  uint64_t cpu_limit_ns; // 0: none

  // The goroutine's own.
  unsigned strikes;   // for being over its limit of CPU time
  bool is_ending;     // it leaves its stack for good, and runs its handlers
  bool is_over;       // its outcome is known; what runs is finalizers
  bool has_been_told; // by an error that its family has ended
  unsigned shields;   // calls of go.shield that it is in
  struct gr_closing *closing; // the time that its handlers have; or NULL
  uint32_t waits_seen;        // of the goroutine's, when a hook last looked
  gr_block *context;          // what go.context gives, or NULL
  int context_depth;          // calls of go.with_context that it is in

  gr_lock lock;

  // Guarded by lock.
  gr_task_state state;
  gr_goroutine *g; // while alive
  gr_list joiners;
  gr_block *outcome; // constant once the state is not GR_TASK_ALIVE
  bool joined;       // somebody knows how it ended
  char *report;      // of a failure, for when nobody joins
  gr_block *event;   // the same as a message, where a channel wants it

  struct gr_cancellation *why; // it is cancelled itself; see cancel.c
  gr_link failed;              // guarded by the list's lock

  // The goroutine's: function and arguments, until it has begun; what else it
  // has, of blocks, while it runs Lua code that it may not come back from.
  gr_block *call, *kept;

  // Called once the goroutine is gone and the outcome is set, before those who
  // joined go on; on a scheduler's stack. Or NULL. Set before it starts.
  void (*on_end)(void *arg);
  void *on_end_arg;
} gr_task;

// A task with one reference. Takes over `call`; copies the name (may be NULL).
// NULL when out of memory: then `call` stays the caller's.
gr_task *gr_task_new(gr_block *call, const char *name);
void gr_task_retain(gr_task *task);
void gr_task_release(gr_task *task);

// Called for a task that failed and that nobody can join any more. Set once, at
// start. Any thread, holding nothing.
extern void (*gr_task_on_forgotten)(gr_task *task);

// Reports all that have failed and were not joined: the process ends.
void gr_task_report_all(void);

// Waits until it has ended. Running goroutine, inside the runtime.
gr_status gr_task_wait(gr_task *task, uint64_t deadline_ns);

// It has ended, and all other fields about that are set: wakes who waits. Takes
// over `outcome` (NULL: out of memory). Scheduler stack.
void gr_task_end(gr_task *task, gr_task_state state, gr_block *outcome);

#endif
