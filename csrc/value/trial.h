// SPDX-License-Identifier: MIT
// Trying out a copied state.
#ifndef GR_TRIAL_H
#define GR_TRIAL_H

#include <lua.h>

// Raises an error if a key of a table that is reached from the registry is
// hashed by its address: a copy would look for it elsewhere. Returns how many
// full userdata are reached. [-0, +0, e]
int gr_trial_look(lua_State *L);

// Computes and collects garbage; raises an error if something goes otherwise
// than it should. Clears the stack.
void gr_trial_run(lua_State *L);

#endif
