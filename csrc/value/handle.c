// SPDX-License-Identifier: MIT
// A handle begins with a number drawn at random for this process. Lua code
// cannot write into userdata, and no other library's of that size has it by
// chance; looking at it is much quicker than at the metatable. All handles of a
// state are in one weak table, by the object's address plus the view; or, where
// there are many and short-lived ones, by their number, which is kinder to the
// caches: entries of neighbours are neighbours.
#include "value/handle.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/thread.h"

static const char table_key;
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
    handle->object = NULL; // it stays the caller's
    gr_count(GR_COUNT_HANDLES, -1);
    luaL_error(L, "not enough memory");
  }
  *late = (gr_late_handle){home->late, handle, handle->type, handle->object};
  home->late = late;
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

// --- metatables ---

static int handle_gc(lua_State *L) {
  gr_handle *handle = gr_handle_get(L, 1);
  if (!handle)
    return luaL_error(L, "not a handle of this module");
  gr_home *home = gr_home_find(L);
  if (GR_UNLIKELY(home && home->late))
    forget_late(home, handle);
  gr_handle_release(handle);
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

static void add_table(lua_State *L, int room) {
  lua_createtable(L, 0, room);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
}

void gr_handle_open(lua_State *L) {
  enum { FEW = 4 };
  add_table(L, FEW);
}

static void push_table(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  add_table(L, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
}

typedef struct wanted {
  const gr_handle_type *type;
  void *object; // NULL once a userdata has it
  uint32_t view;
} wanted;

// The key is where the view's byte of the object is.
static void get_handle(lua_State *L, int table, const wanted *want) {
  if (want->type->number)
    lua_rawgeti(L, table, (lua_Integer)want->type->number(want->object));
  else
    lua_rawgetp(L, table, (const char *)want->object + want->view);
}

static void set_handle(lua_State *L, int table, const wanted *want) {
  if (want->type->number)
    lua_rawseti(L, table, (lua_Integer)want->type->number(want->object));
  else
    lua_rawsetp(L, table, (const char *)want->object + want->view);
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

// What keeps this sound in a state that is not the caller's: nobody runs it,
// and one who waits has called a C function of ours. So each Lua thread of the
// state is where it may be used: in a C function or a hook, yielded, or not
// begun. Reading tables makes nothing, and runs neither a collector nor Lua
// code; all it needs is room on the stack, of which Lua gives every C function
// LUA_MINSTACK slots besides its arguments.
bool gr_handle_each(lua_State *L,
                    void (*visit)(void *arg, const gr_handle *handle),
                    void *arg) {
  enum { TABLE_KEY_VALUE = 3 };
  if (lua_gettop(L) > LUA_MINSTACK - TABLE_KEY_VALUE)
    return false;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) == LUA_TTABLE) {
    lua_pushnil(L);
    for (; lua_next(L, -2); lua_pop(L, 1))
      visit(arg, lua_touserdata(L, -1));
  }
  lua_pop(L, 1);
  return true;
}

// --- making them ---

static int push_protected(lua_State *L) {
  wanted *want = lua_touserdata(L, 1);
  push_table(L);
  get_handle(L, 2, want);
  gr_handle *handle = lua_touserdata(L, -1);
  if (handle && handle->object) // while a state closes, dead ones are there
    return 1;
  lua_pop(L, 1);
  handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = (gr_handle){gr_handle_mark, want->type, want->object, want->view};
  push_metatable(L, want->type);
  lua_setmetatable(L, -2);
  gr_count(GR_COUNT_HANDLES, 1);
  gr_home *home = gr_home_find(L);
  if (GR_UNLIKELY(home && home->is_closing))
    note_late(L, home, handle);
  wanted had = *want;
  want->object = NULL; // the userdata has it now
  lua_pushvalue(L, -1);
  set_handle(L, 2, &had);
  return 1;
}

void gr_handle_push(lua_State *L, const gr_handle_type *type, void *object,
                    uint32_t view) {
  wanted want = {type, object, view};
  lua_pushcfunction(L, push_protected);
  lua_pushlightuserdata(L, &want);
  int failed = lua_pcall(L, 1, 1, 0);
  if (want.object)
    type->release(want.object); // there was one already, or an error
  if (failed)
    lua_error(L);
}
