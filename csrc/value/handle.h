// SPDX-License-Identifier: MIT
// Handles: userdata that stand for a reference-counted C object outside every
// Lua heap. An object has one userdata a state at most (for each view of it),
// so that == and table keys agree there.
#ifndef GR_HANDLE_H
#define GR_HANDLE_H

#include <lua.h>

#include "base/base.h"
#include "value/home.h"

typedef struct gr_handle_type {
  const char *name; // of its metatable, and in messages
  void (*retain)(void *object);
  void (*release)(void *object); // calls no Lua
  // Registers it in a state that meets the first handle of the type. NULL: for
  // tests without. [-0, +0, m]
  void (*open)(lua_State *L);
  // Tells objects of the type apart, and is near for those that are made one
  // after the other; or NULL.
  uint64_t (*number)(const void *object);
} gr_handle_type;

// The block of such a userdata.
typedef struct gr_handle {
  uint64_t mark; // tells it from any other userdata
  const gr_handle_type *type;
  void *object;  // NULL once released
  uint32_t view; // a restriction of the object, 0 for none; below 16
} gr_handle;

// Once, before the first handle.
void gr_handle_init(void);

// Makes room for some handles in a new state. [-0, +0, m]
void gr_handle_open(lua_State *L);

// Makes the metatable of the type in this state, with what a handle needs, and
// leaves it on the stack. [-0, +1, m]
void gr_handle_register(lua_State *L, const gr_handle_type *type);

// Pushes the handle of an object, making it if this state has none; takes over
// a reference, which is released if there is an error. [-0, +1, m]
void gr_handle_push(lua_State *L, const gr_handle_type *type, void *object,
                    uint32_t view);

// Written before the first handle is made.
extern uint64_t gr_handle_mark;

// The handle at the index, or NULL when there is something else.
static inline gr_handle *gr_handle_get(lua_State *L, int index) {
  // Light userdata has no length, and what else has one is no userdata.
  if (lua_rawlen(L, index) != sizeof(gr_handle))
    return NULL;
  gr_handle *handle = lua_touserdata(L, index);
  return handle && handle->mark == gr_handle_mark ? handle : NULL;
}

// The same, if it is of this type and not released.
static inline gr_handle *gr_handle_test(lua_State *L, int index,
                                        const gr_handle_type *type) {
  gr_handle *handle = gr_handle_get(L, index);
  return handle && handle->type == type && handle->object ? handle : NULL;
}

// What its finalizer does. Calls no Lua.
void gr_handle_release(gr_handle *handle);

// Releases those that were made while the state was closed, which Lua does not
// finalize. After that.
void gr_handle_release_late(gr_home *home);

// Calls visit for each handle in the state whose main thread L is, which may be
// another goroutine's that is kept from running; see handle.c. False, and none
// is visited, if L has not enough room on its stack for looking.
bool gr_handle_each(lua_State *L,
                    void (*visit)(void *arg, const gr_handle *handle),
                    void *arg);

// How many handle userdata exist in all states.
unsigned gr_handle_count(void);

#endif
