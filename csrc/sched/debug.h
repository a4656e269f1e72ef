// SPDX-License-Identifier: MIT
// GOROUTINES_DEBUG: what the runtime tells on stderr while it works, as words
// with commas between them (Go's GODEBUG).
//
//   schedtrace=N  a line about the scheduler each N milliseconds
//   sigquit       where all goroutines are at each SIGQUIT (lib/dump.c)
#ifndef GR_DEBUG_H
#define GR_DEBUG_H

#include "sched/round.h"

typedef struct gr_debug_settings {
  uint64_t schedtrace_ns; // 0: never
  bool sigquit;
} gr_debug_settings;

extern gr_debug_settings gr_the_debug; // constant once there are threads

// Reads the environment. Tells of a word that it does not know.
void gr_debug_init(void);

// Writes the line if that is due. The monitor.
void gr_debug_look(gr_round *r);

#endif
