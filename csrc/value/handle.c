// SPDX-License-Identifier: MIT
// A handle begins with a number drawn at random for this process. Lua code
// cannot write into userdata, and no other library's of that size has it by
// chance; looking at it is much quicker than at the metatable.
//
// Those whose object can come to the state again are in its list, a weak table,
// by the object's address plus the view. Most are never shared, and are not in
// it: Lua's collector looks at all of a weak table again and again, and counts
// its memory as in use, so that one with all handles grew for as long as there
// were new ones. Lua never shrinks it; that is done here.
#include "value/handle.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/thread.h"
#include "value/finalizer.h"
#include "value/layout.h"

static const char list_key;
uint64_t gr_handle_mark;

void gr_handle_init(void) {
  gr_random random;
  gr_random_init(&random, gr_now_ns() ^ (uintptr_t)&random);
  gr_handle_mark = gr_random_next(&random);
}

unsigned gr_handle_count(void) {
  return gr_count_sum(GR_COUNT_HANDLES);
}

void gr_handle_release(gr_handle *handle) {
  void *object = handle->object;
  if (!object)
    return;
  handle->object = NULL;
  if (gr_is_child()) // releasing may take locks
    return;
  gr_count(GR_COUNT_HANDLES, -1);
  handle->type->release(object);
}

// --- what is made in a finalizer while the state is closed ---

typedef struct gr_late_handle {
  struct gr_late_handle *next;
  const gr_handle *handle; // whose memory may be gone
  const gr_handle_type *type;
  void *object;
} gr_late_handle;

// It is released by a call of its finalizer.
static void forget_late(gr_home *home, const gr_handle *handle) {
  for (gr_late_handle **at = &home->late, *late; (late = *at);) {
    if (late->handle != handle) {
      at = &late->next;
      continue;
    }
    *at = late->next;
    free(late);
  }
}

static void note_late(lua_State *L, gr_home *home, gr_handle *handle) {
  gr_late_handle *late = malloc(sizeof *late);
  if (!late) {
    gr_handle_release(handle);
    luaL_error(L, "not enough memory");
  }
  *late = (gr_late_handle){home->late, handle, handle->type, handle->object};
  home->late = late;
  handle->is_late = true;
}

void gr_handle_release_late(gr_home *home) {
  for (gr_late_handle *late; (late = home->late);) {
    home->late = late->next;
    gr_count(GR_COUNT_HANDLES, -1);
    if (!gr_is_child())
      late->type->release(late->object);
    free(late);
  }
}

// --- the list ---

static void push_new_list(lua_State *L, int room) {
  lua_createtable(L, 0, room);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void gr_handle_open(lua_State *L) {
  enum { FEW = 4 };
  push_new_list(L, FEW);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) == LUA_TTABLE) {
    lua_pop(L, 2); // a finalizer has made one meanwhile
    return;
  }
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
}

static const void *key_of(const void *object, uint32_t view) {
  return (const char *)object + view;
}

// Pushes the handle that is listed for it, or nothing.
static bool find(lua_State *L, const void *object, uint32_t view) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) == LUA_TTABLE) {
    lua_rawgetp(L, -1, key_of(object, view));
    lua_replace(L, -2);
    const gr_handle *handle = lua_touserdata(L, -1);
    if (handle && handle->object) // one that is gone may be there until the
      return true;                // list is cleared, which Lua does not do
                                  // while it closes the state
  }
  lua_pop(L, 1);
  return false;
}

void gr_handle_list(lua_State *L, int index, gr_handle *handle) {
  index = lua_absindex(L, index);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    gr_handle_open(L); // of a state that nobody has opened, as in tests
    lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key);
  }
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, key_of(handle->object, handle->view));
  lua_pop(L, 1);
  handle->is_listed = true;
  gr_notes *notes = gr_notes_find(L);
  if (notes)
    notes->listed.all++;
}

// Makes a list of those that are left. In a finalizer: no others run meanwhile.
static void shrink(lua_State *L, gr_notes *notes) {
  luaL_checkstack(L, 5, "too many values");
  uint32_t left = notes->listed.all - notes->listed.gone;
  push_new_list(L, left < INT_MAX ? (int)left : INT_MAX);
  int list = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) == LUA_TTABLE) {
    lua_pushnil(L);
    for (; lua_next(L, -2); lua_pop(L, 1)) {
      const gr_handle *handle = lua_touserdata(L, -1);
      if (!handle->object) // see above
        continue;
      lua_pushvalue(L, -1);
      lua_rawsetp(L, list, key_of(handle->object, handle->view));
    }
  }
  lua_settop(L, list);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
  notes->listed.left_out = notes->listed.gone;
}

static void note_gone(lua_State *L) {
  enum { MANY = 256 };
  gr_notes *notes = gr_notes_find(L);
  if (!notes)
    return;
  notes->listed.gone++;
  uint32_t empty = notes->listed.gone - notes->listed.left_out;
  uint32_t left = notes->listed.all - notes->listed.gone;
  if (empty >= MANY && empty > left)
    shrink(L, notes);
}

// --- metatables ---

static int handle_gc(lua_State *L) {
  gr_handle *handle = gr_handle_get(L, 1);
  if (!handle)
    return luaL_error(L, "not a handle of this module");
  gr_home *home = gr_home_find(L);
  if (GR_UNLIKELY(home && home->late))
    forget_late(home, handle);
  gr_handle_release(handle);
  if (handle->is_listed) {
    handle->is_listed = false;
    note_gone(L);
  }
  return 0;
}

static int handle_tostring(lua_State *L) {
  gr_handle *handle = gr_handle_get(L, 1);
  if (!handle)
    return luaL_error(L, "not a handle of this module");
  lua_pushfstring(L, "%s: %p", handle->type->name, handle->object);
  return 1;
}

void gr_handle_register(lua_State *L, const gr_handle_type *type) {
  lua_createtable(L, 0, 8);
  gr_reserve_field(L, "__index");
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, handle_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushstring(L, type->name); // the finalizer is not the program's to change
  lua_setfield(L, -2, "__metatable");
  lua_pushcfunction(L, handle_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, type);
}

static void push_metatable(lua_State *L, const gr_handle_type *type) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, type) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  if (!type->open)
    luaL_error(L, "this Lua state has no %s", type->name);
  type->open(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, type);
}

// --- looking at them ---

gr_handle *gr_handle_of(void *object) {
  size_t len;
  const void *metatable;
  gr_handle *handle = gr_finalizer_userdata(object, &len, &metatable);
  bool is = handle && len == sizeof *handle && handle->mark == gr_handle_mark;
  return is ? handle : NULL;
}

static void visit_objects(void *first,
                          void (*visit)(void *arg, const gr_handle *handle),
                          void *arg) {
  for (void *at = first; at; at = *(void **)at) {
    const gr_handle *handle = gr_handle_of(at);
    if (handle && !handle->is_late)
      visit(arg, handle);
  }
}

// What keeps this sound in a state that is not the caller's: nobody runs it,
// and one who waits has called a C function of ours. So no object is being made
// or freed there.
bool gr_handle_each(lua_State *L,
                    void (*visit)(void *arg, const gr_handle *handle),
                    void *arg) {
  if (!gr_finalizer_is_known)
    return false;
  visit_objects(gr_finalizer_first(L), visit, arg);
  visit_objects(gr_finalizer_pending(L), visit, arg);
  const gr_home *home = gr_home_find(L);
  for (gr_late_handle *at = home ? home->late : NULL; at; at = at->next)
    visit(arg, &(gr_handle){.type = at->type, .object = at->object});
  return true;
}

// --- making them ---

gr_handle *gr_handle_new(lua_State *L, const gr_handle_type *type) {
  gr_handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (gr_handle){.mark = gr_handle_mark, .type = type};
  push_metatable(L, type);
  lua_setmetatable(L, -2);
  return handle;
}

void gr_handle_set(lua_State *L, gr_handle *handle, void *object,
                   uint32_t view) {
  handle->object = object;
  handle->view = (uint16_t)view;
  gr_count(GR_COUNT_HANDLES, 1);
  gr_home *home = gr_home_find(L);
  if (GR_UNLIKELY(home && home->is_closing))
    note_late(L, home, handle);
}

typedef struct wanted {
  const gr_handle_type *type;
  void *object; // NULL once a userdata has it
  uint32_t view;
  uint32_t listed; // how many had been when it was looked for
} wanted;

static uint32_t count_listed(lua_State *L) {
  const gr_notes *notes = gr_notes_find(L);
  return notes ? notes->listed.all : 0;
}

static int push_protected(lua_State *L) {
  wanted *want = lua_touserdata(L, 1);
  gr_handle *handle = gr_handle_new(L, want->type);
  if (count_listed(L) != want->listed && // by a finalizer, or a hook
      find(L, want->object, want->view))
    return 1;
  void *object = want->object;
  want->object = NULL;
  gr_handle_set(L, handle, object, want->view);
  gr_handle_share(L, -1, handle);
  return 1;
}

void gr_handle_push(lua_State *L, const gr_handle_type *type, void *object,
                    uint32_t view) {
  if (find(L, object, view)) {
    type->release(object);
    return;
  }
  wanted want = {type, object, view, count_listed(L)};
  lua_pushcfunction(L, push_protected);
  lua_pushlightuserdata(L, &want);
  int failed = lua_pcall(L, 1, 1, 0);
  if (want.object) // there is one by now, or an error
    type->release(want.object);
  if (failed)
    lua_error(L);
}
