// SPDX-License-Identifier: MIT
// What the objects of sync have in common. Their metatables are made in a state
// when it meets the first one, for most goroutines use none.
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"
#include "sync/holder.h"

// "mutex: 0x..."
static int object_tostring(lua_State *L) {
  gr_handle *handle = gr_handle_get(L, 1);
  if (!handle)
    return luaL_error(L, "not a handle of this module");
  lua_pushfstring(L, "%s: %p", strchr(handle->type->name, '.') + 1,
                  handle->object);
  return 1;
}

void gr_sync_register(lua_State *L, const gr_handle_type *type,
                      const luaL_Reg *methods, const luaL_Reg *meta) {
  gr_handle_register(L, type);
  lua_pushcfunction(L, object_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  if (meta)
    luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
}

int gr_sync_set(lua_State *L, gr_handle *handle, void *object) {
  if (!object)
    return luaL_error(L, "not enough memory");
  gr_handle_set(L, handle, object, 0);
  return 1;
}

gr_status gr_sync_wait_for(lua_State *L, gr_sync_wait wait, void *object,
                           uint64_t deadline_ns) {
  gr_status status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = wait(object, deadline_ns);
    gr_leave();
  } while (status != GR_OK && gr_wait_again(L, status));
  return status;
}

int gr_sync_push_outcome(lua_State *L, gr_status status) {
  if (status != GR_OK)
    return gr_push_failure(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

static int push_text(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

// Takes the text over.
static void push_and_free(lua_State *L, char *text) {
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, text);
  int failed = lua_pcall(L, 1, 1, 0);
  free(text);
  if (failed)
    lua_error(L);
}

const char *gr_sync_push_holder(lua_State *L, uint64_t id) {
  char *name;
  gr_enter();
  bool exists = gr_holder_find(id, &name);
  gr_leave();
  const char *ended = exists ? "" : " (it has ended)";
  if (!name)
    return lua_pushfstring(L, "goroutine %I%s", (LUAI_UACINT)id, ended);
  push_and_free(L, name);
  return lua_pushfstring(L, "goroutine %I \"%s\"%s", (LUAI_UACINT)id,
                         lua_tostring(L, -1), ended);
}

void gr_sync_add_types(void) {
  static const gr_handle_type *const types[] = {
      &gr_mutex_type, &gr_rwmutex_type,   &gr_waitgroup_type, &gr_once_type,
      &gr_cond_type,  &gr_semaphore_type, &gr_barrier_type,   &gr_atomic_type,
      &gr_map_type,   &gr_group_type,
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    gr_message_add_type(types[i]);
}

void gr_lib_sync(lua_State *L) {
  gr_lib_mutex(L);
  gr_lib_rwmutex(L);
  gr_lib_waitgroup(L);
  gr_lib_once(L);
  gr_lib_cond(L);
  gr_lib_semaphore(L);
  gr_lib_barrier(L);
  gr_lib_atomic(L);
  gr_lib_map(L);
  gr_lib_group(L);
}
