// SPDX-License-Identifier: MIT
// Reading another goroutine's state while nobody runs it. The reader and the
// worker that is about to run it:
//
//   reader:  examined = true, membarrier, look at the status
//   worker:  status = running, [barrier], look at examined, and wait for it
//
// One of the two sees the other, so that a status other than running holds
// until the reader lets go; see worker.h for the barriers.
#ifndef GR_EXAMINE_H
#define GR_EXAMINE_H

#include "base/base.h"
#include "sched/goroutine.h"

// In `examined`: the goroutine's family has ended, see family.c. It may run.
#define GR_EXAMINED_END 0x80000000u

// Calls read(g, arg) while g, which is not the caller's, does not run. A g that
// runs is asked to give way for that. False if it does not within a few
// milliseconds (it is in a long C call): then nothing was read. The caller
// keeps g from ending. Goroutine, inside the runtime.
bool gr_examine(gr_goroutine *g, void (*read)(gr_goroutine *g, void *arg),
                void *arg);

#endif
