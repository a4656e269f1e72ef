// SPDX-License-Identifier: MIT
// Starting and stopping the runtime of a process, and coming to it.
#ifndef GR_RUNTIME_H
#define GR_RUNTIME_H

#include "base/base.h"
#include "sched/goroutine.h"

// Makes what all families share. NULL, or what went wrong. Once a process.
const char *gr_runtime_start(void);

// Makes the calling thread a worker, and L the state of its main goroutine, the
// first of a new family. The thread has none, or one whose main is over. False
// when out of memory. gr_family_end is its counterpart.
bool gr_runtime_join(lua_State *L);

// Stops all workers but the caller's, where they are: goroutines run no
// handlers. Returns when they have stopped, or after a tenth of a second: a
// thread that is stuck in C is left behind: false. Any thread; only the first
// call does anything.
bool gr_runtime_stop(void);

#endif
