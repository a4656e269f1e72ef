// SPDX-License-Identifier: MIT
// Goroutines that C code keeps on their thread. A C function that is neither
// the standard library's nor ours may hold what belongs to its thread, such as
// a mutex, while it calls back into Lua. A goroutine that is switched away from
// below such a function goes on on the same thread, and has that thread to
// itself meanwhile: another goroutine there could enter the same recursive
// lock, or wait for a plain one for ever.
#ifndef GR_PIN_H
#define GR_PIN_H

#include "base/base.h"
#include "sched/goroutine.h"

// Finds out where Lua and this module lie in memory. Once a process, before
// there are goroutines. False when out of memory.
bool gr_pin_init(void);

// True if a function of foreign C code is in progress in the goroutine, in any
// of its coroutines. Its owner calls this, inside the runtime. Neither raises
// nor allocates, so that locks may be held.
bool gr_pin_is_under_foreign(gr_goroutine *g);

// True if the function may hold what belongs to its thread.
bool gr_pin_is_foreign(int (*function)(lua_State *L));

#endif
