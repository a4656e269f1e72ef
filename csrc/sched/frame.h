// SPDX-License-Identifier: MIT
// Walking a Lua stack from frame to frame.
#ifndef GR_FRAME_H
#define GR_FRAME_H

#include <lua.h>

#include "base/base.h"

// Once a process, before the first walk. False when out of memory.
bool gr_frame_init(void);

// Goes from the frame in `ar`, which lua_getstack gave or this, to the next one
// below, at `level`. False at the bottom.
bool gr_frame_go_below(lua_State *L, lua_Debug *ar, int level);

#endif
