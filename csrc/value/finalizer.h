// SPDX-License-Identifier: MIT
// Where a state keeps what wants finalizing. Lua's API does not tell; it is
// learned from a state made for that, by looking where the addresses of objects
// turn up.
#ifndef GR_FINALIZER_H
#define GR_FINALIZER_H

#include <lua.h>

#include "base/base.h"

// Once a process, before the others.
void gr_finalizer_learn(void);

// False if something is not as it is known to be in Lua 5.4: the others must
// not be called then. Written by gr_finalizer_learn only.
extern bool gr_finalizer_is_known;

// The objects that have a finalizer, newest first. An object begins with the
// address of the next one, or NULL.
void *gr_finalizer_first(lua_State *L);

// The first of those whose finalizers are about to run, or NULL.
void *gr_finalizer_pending(lua_State *L);

// The block of a full userdata without user values, its length and its
// metatable's address; NULL if the object is something else.
void *gr_finalizer_userdata(void *object, size_t *len, const void **metatable);

// How many objects have a finalizer that has not been called.
int gr_finalizer_count(lua_State *L);

#endif
