// SPDX-License-Identifier: MIT
// Ctrl-C while main waits: the host's handler sets a hook, which runs only when
// main goes on.
#ifndef GR_INTERRUPT_H
#define GR_INTERRUPT_H

#include "base/base.h"

// The program listens to SIGINT itself: the host's handler is not in place.
// Changed under the token of the monitor's loop.
extern atomic_bool gr_interrupts_taken;

// Has the host's present handler of SIGINT wake the monitor as well. Monitor.
void gr_interrupts_follow(void);

// Ends the wait of a main that has been interrupted. Monitor.
void gr_interrupts_end_waits(void);

#endif
