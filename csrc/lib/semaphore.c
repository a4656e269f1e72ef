// SPDX-License-Identifier: MIT
// Semaphores.
#include "lib/lib.h"
#include "sync/semaphore.h"

static void open_type(lua_State *L);

const gr_handle_type gr_semaphore_type = {
    "goroutines.semaphore", gr_object_retain, gr_object_release, open_type};

static int semaphore_new(lua_State *L) {
  gr_arg_count(L, 1, "semaphore");
  lua_Integer size = gr_arg_integer(L, 1, 1, "semaphore", 1, GR_SEMAPHORE_MAX);
  gr_handle *handle = gr_handle_new(L, &gr_semaphore_type);
  return gr_sync_set(L, handle, gr_semaphore_new((uint32_t)size));
}

// How many units, at index 2: 1 if there is nothing.
static uint32_t check_units(lua_State *L, const gr_semaphore *s,
                            const char *name) {
  if (lua_isnoneornil(L, 2))
    return 1;
  return (uint32_t)gr_arg_integer(L, 2, 1, name, 1, s->size);
}

static int acquire_slowly(lua_State *L, gr_semaphore *s, uint32_t units) {
  uint64_t deadline_ns = gr_arg_deadline(L, 3, 2, "acquire");
  gr_status status;
  do {
    gr_enter();
    status = gr_semaphore_acquire(s, units, deadline_ns);
    gr_leave();
  } while (status != GR_OK && gr_wait_again(L, status));
  return gr_sync_push_outcome(L, status);
}

static int semaphore_acquire(lua_State *L) {
  gr_semaphore *s = gr_arg_self(L, &gr_semaphore_type, "acquire");
  gr_arg_count(L, 3, "acquire");
  uint32_t units = check_units(L, s, "acquire");
  gr_wait_point(L);
  if (lua_gettop(L) > 2 || !gr_semaphore_try(s, units))
    return acquire_slowly(L, s, units);
  lua_pushboolean(L, 1);
  return 1;
}

static int semaphore_try_acquire(lua_State *L) {
  gr_semaphore *s = gr_arg_self(L, &gr_semaphore_type, "try_acquire");
  gr_arg_count(L, 2, "try_acquire");
  lua_pushboolean(L, gr_semaphore_try(s, check_units(L, s, "try_acquire")));
  return 1;
}

static int semaphore_release(lua_State *L) {
  gr_semaphore *s = gr_arg_self(L, &gr_semaphore_type, "release");
  gr_arg_count(L, 2, "release");
  uint32_t units = check_units(L, s, "release");
  if (gr_semaphore_release_quickly(s, units))
    return 0;
  gr_enter();
  bool done = gr_semaphore_release(s, units);
  gr_leave();
  if (!done)
    return luaL_error(L, "release of more than was acquired of a semaphore");
  return 0;
}

static const luaL_Reg methods[] = {
    {"acquire", semaphore_acquire},
    {"try_acquire", semaphore_try_acquire},
    {"release", semaphore_release},
    {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_semaphore_type, methods, NULL);
}

void gr_lib_semaphore(lua_State *L) {
  lua_pushcfunction(L, semaphore_new);
  lua_setfield(L, -2, "semaphore");
}
