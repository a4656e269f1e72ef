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

// A quick answer for most objects: a set of bits, of the hashes of those that
// have names. It lives as long as the state.
typedef struct gr_modules_seen {
  uint64_t words[64];
  uint64_t loaded;     // what package.loaded had, as one number
  const void **tables; // those with names, by their hash; in a user value
  uint32_t count, room;
} gr_modules_seen;

static inline unsigned gr_modules_bit(const void *object) {
  return (unsigned)((uint64_t)(uintptr_t)object * 0x9E3779B97F4A7C15u >> 52);
}

static inline bool gr_modules_may_have(const gr_modules_seen *seen,
                                       const void *object) {
  unsigned bit = gr_modules_bit(object);
  return seen->words[bit / 64] >> bit % 64 & 1;
}

// Of a table, without Lua: false if it has no name. (A new one may be where one
// with a name was, so that true is no more than a hint, either.)
bool gr_modules_may_have_table(const gr_modules_seen *seen, const void *table);

// NULL: there are no names but those of the image. [-0, +0, v]
const gr_modules_seen *gr_modules_filter(lua_State *L);

// The same without making it: false if it is not there yet, nor its absence
// known. `home`: gr_home_of_copy. [-0, +0, -]
struct gr_home;
bool gr_modules_have_filter(lua_State *L, const struct gr_home *home,
                            const gr_modules_seen **filter);

// There are more modules: the table is made anew when it is next wanted.
void gr_modules_forget(lua_State *L);

// Takes in the modules loaded since, if there is such a table. What the program
// adds to a module afterwards is not known by name. [-0, +0, v]
void gr_modules_update(lua_State *L);

// Pushes the module of that name, loading it if need be, or what is found in
// it. [-0, +1, v]
void gr_module_push(lua_State *L, const char *name, size_t len);

// True for a name that is in the library ("_G" for the globals) of every state.
bool gr_module_is_standard(const char *library, const char *name);

// The standard libraries to which programs add functions.
enum { GR_EXTENSIBLE = 8 };
extern const char *const gr_module_extensible[GR_EXTENSIBLE];
bool gr_module_is_extensible(const char *name);

// Which of the stock searchers the function is, from 1 on; 0 for none.
int gr_module_searcher(lua_State *L, int index);
// The same of the function on top, by the list of this state's at the index.
int gr_module_find_searcher(lua_State *L, int list);
enum { GR_SEARCHERS = 4, GR_SEARCHER_C = 3, GR_SEARCHER_C_ROOT = 4 };

// In the registry of each state: its stock searchers, or what stands for them.
#define GR_SEARCHERS_KEY "goroutines.searchers"

// package.path (or cpath) as it is in a new state.
const char *gr_module_default_path(bool is_c);

#endif
