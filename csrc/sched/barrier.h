// SPDX-License-Identifier: MIT
// A barrier in every thread, for who is seldom on the one side of a protocol;
// the other side then needs none but the compiler's.
#ifndef GR_SCHED_BARRIER_H
#define GR_SCHED_BARRIER_H

#include "base/base.h"

// Once, before there are workers.
void gr_barrier_init(void);

// A full barrier in every thread of the process.
void gr_barrier_everywhere(void);

#endif
