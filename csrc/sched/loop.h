// SPDX-License-Identifier: MIT
// A libuv loop under an ownership token.
//
// Whoever calls any uv_* on the loop, but to wake it, holds its token.
// One who does not get it leaves a request; the holder runs the requests after
// its own work, and looks once more after it has let the token go:
//
//   requester: push the request, full barrier, try the token
//   holder:    let the token go, full barrier, look for requests
//
// so that one of the two sees the other. No goroutine is switched to while the
// token is held, and the loop is run on scheduler stacks only.
#ifndef GR_LOOP_H
#define GR_LOOP_H

#include <uv.h>

#include "base/base.h"
#include "base/lock.h"

typedef struct gr_loop gr_loop;

// Work to be done under the token, in the requester's memory; `run` may free
// that, and must not block, raise, or switch.
typedef struct gr_loop_request {
  struct gr_loop_request *next;
  void (*run)(gr_loop *loop, struct gr_loop_request *request);
} gr_loop_request;

struct gr_loop {
  uv_loop_t uv; // guarded by the token
#ifdef __linux__
  uv_poll_t wakes, ticks; // watch the descriptors
  int wake_fd, timer_fd;  // constant
  atomic_bool is_woken;   // a number is in wake_fd, or about to be
#else
  uv_async_t async;
  uv_timer_t timer;
#endif
  uint64_t alarm_ns; // what the timer is set to; guarded by the token

  atomic_bool token; // acquire when taken, release when let go

  gr_lock lock; // leaf
  // Guarded by lock.
  gr_loop_request *requests, **requests_end;
};

// Makes a loop. 0, or libuv's error code. Costs six descriptors.
int gr_loop_init(gr_loop *loop);

// Closes it. Nobody else may know it any more.
void gr_loop_fini(gr_loop *loop);

// Runs the loop: sleeps until an event, a wake or the deadline, then runs the
// callbacks. GR_POLL as the deadline does not sleep. Does nothing when another
// thread holds the token, but for sleeping never. Scheduler stacks only.
void gr_loop_run(gr_loop *loop, uint64_t deadline_ns);

// Ends the sleep in gr_loop_run, now or the next time. Any thread; signal-safe.
void gr_loop_wake(gr_loop *loop);

// Has the request run under the token: at once if it is free, else by its
// holder. Any thread.
void gr_loop_submit(gr_loop *loop, gr_loop_request *request);

// Takes the token and keeps it: nothing is run under it any more. False if its
// holder does not let it go by then.
bool gr_loop_seal(gr_loop *loop, uint64_t end_ns);

#endif
