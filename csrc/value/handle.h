// SPDX-License-Identifier: MIT
// Handles: userdata that stand for a reference-counted C object outside every
// Lua heap. An object has one userdata a state at most (for each view of it),
// so that == and table keys agree there: those of objects that can come to the
// state a second time are in a list of its.
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
} gr_handle_type;

// The block of such a userdata.
typedef struct gr_handle {
  uint64_t mark; // tells it from any other userdata
  const gr_handle_type *type;
  void *object;   // NULL until it is set, and once it is released
  uint16_t view;  // a restriction of the object, 0 for none; below 16
  bool is_listed; // see gr_handle_list
  bool is_late;   // made while the state is closed: Lua may not finalize it
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

// Pushes a handle that has no object yet. [-0, +1, m]
gr_handle *gr_handle_new(lua_State *L, const gr_handle_type *type);

// Gives that handle an object that this state has not met: what is made by the
// caller. Takes over a reference, also if there is an error, as there may be
// while the state is closed. [-0, +0, m]
void gr_handle_set(lua_State *L, gr_handle *handle, void *object,
                   uint32_t view);

// Lists the handle, which is at the index: gr_handle_push finds it from then
// on. Before its object becomes known outside the state, in a message or
// otherwise. Calls no finalizers; needs three free slots. [-0, +0, m]
void gr_handle_list(lua_State *L, int index, gr_handle *handle);

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

static inline void gr_handle_share(lua_State *L, int index, gr_handle *handle) {
  if (!handle->is_listed)
    gr_handle_list(L, index, handle);
}

// The same, if it is of this type and not released.
static inline gr_handle *gr_handle_test(lua_State *L, int index,
                                        const gr_handle_type *type) {
  gr_handle *handle = gr_handle_get(L, index);
  return handle && handle->type == type && handle->object ? handle : NULL;
}

// The handle that is this object of Lua's lists (see finalizer.h), or NULL.
gr_handle *gr_handle_of(void *object);

// What its finalizer does. Calls no Lua.
void gr_handle_release(gr_handle *handle);

// Releases those that were made while the state was closed, which Lua does not
// finalize. After that.
void gr_handle_release_late(gr_home *home);

// Calls visit for each handle in the state whose main thread L is, which may be
// another goroutine's that is kept from running; see handle.c. False, and none
// is visited, if it is not known where Lua has them.
bool gr_handle_each(lua_State *L,
                    void (*visit)(void *arg, const gr_handle *handle),
                    void *arg);

// How many handle userdata exist in all states.
unsigned gr_handle_count(void);

#endif
