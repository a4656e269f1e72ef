// SPDX-License-Identifier: MIT
// Modules by name. A module that a new state has, or can load, is not copied:
// it goes by its name, and so does what is found in it.
#ifndef GR_MODULE_H
#define GR_MODULE_H

#include <lua.h>

#include "base/base.h"

// Once a process: finds out about new states. False when out of memory.
bool gr_modules_init(void);

// Pushes the table from objects to the names of modules: "name", or "name", a
// zero byte and the key of what is found in one. The name of a module that the
// program has put into package.loaded by hand begins with GR_MODULE_BY_HAND.
// [-0, +1, v]
void gr_modules_push(lua_State *L);
#define GR_MODULE_BY_HAND '\1'

// Takes in the modules loaded since, if there is such a table. What the program
// adds to a module afterwards is not known by name. [-0, +0, v]
void gr_modules_update(lua_State *L);

// Pushes the module of that name, loading it if need be, or what is found in
// it. [-0, +1, v]
void gr_module_push(lua_State *L, const char *name, size_t len);

// True for a name that is in the library ("_G" for the globals) of every state.
bool gr_module_is_standard(const char *library, const char *name);

// The standard libraries to which programs add functions; ended by NULL.
extern const char *const gr_module_extensible[];

// package.path (or cpath) as it is in a new state.
const char *gr_module_default_path(bool is_c);

#endif
