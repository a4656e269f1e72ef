// SPDX-License-Identifier: MIT
// Changes of files, told to channels, by uv_fs_event on the monitor's loop.
#ifndef GR_WATCH_H
#define GR_WATCH_H

#include "io/io.h"
#include "sync/channel.h"

// Has the channel be told what changes at the path, as tables with `name` and
// `event`, until it is closed or freed; what comes while it is full is dropped.
// 0 or an error code. Parks. Running goroutine, in the runtime.
int gr_watch_path(gr_channel *channel, const char *path);

#endif
