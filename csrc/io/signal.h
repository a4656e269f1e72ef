// SPDX-License-Identifier: MIT
// Signals of the process, told to channels.
#ifndef GR_SIGNAL_H
#define GR_SIGNAL_H

#include "io/io.h"
#include "sync/channel.h"

// The number of a signal by its name, "INT"; 0 when there is none. And back:
// NULL when it has no name.
int gr_signal_number(const char *name);
const char *gr_signal_name(int number);

// Whether a program can listen to it: KILL and STOP cannot be caught, others
// are the program's own faults or the runtime's.
bool gr_signal_can_listen(int number);

#endif
