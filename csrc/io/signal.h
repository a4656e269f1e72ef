// SPDX-License-Identifier: MIT
// Signals of the process, told to channels, by uv_signal on the monitor's loop.
#ifndef GR_SIGNAL_H
#define GR_SIGNAL_H

#include "io/io.h"
#include "sync/channel.h"

enum { GR_SIGNALS = 65 };

// The number of a signal by its name, "INT"; 0 when there is none. And back:
// NULL when it has no name.
int gr_signal_number(const char *name);
const char *gr_signal_name(int number);

// Whether a program can listen to it: KILL and STOP cannot be caught, some are
// about faults of the program's own code, and one is the runtime's.
bool gr_signal_can_listen(int number);

// Has the channel be told signals, until it is closed or freed: for each number
// with a block, that block is sent, or dropped when the channel is full. Takes
// over the blocks, but not the channel. 0, an error code, or GR_NOMEM. Parks.
// Running goroutine, in the runtime.
int gr_signal_listen(gr_channel *channel, gr_block *blocks[GR_SIGNALS]);

// Has `call` be called at each such signal, on the monitor's thread, from now
// on. Nobody is thought to wait for it. 0, or an error code. Parks. Running
// goroutine, in the runtime; once.
int gr_signal_call(int number, void (*call)(void));

#endif
