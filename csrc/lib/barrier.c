// SPDX-License-Identifier: MIT
// Barriers.
#include "lib/lib.h"
#include "sync/barrier.h"

static void open_type(lua_State *L);

const gr_handle_type gr_barrier_type = {"goroutines.barrier", gr_object_retain,
                                        gr_object_release, open_type};

static gr_status wait_all(void *object, uint64_t deadline_ns) {
  return gr_barrier_wait(object, deadline_ns);
}

static int barrier_new(lua_State *L) {
  gr_arg_count(L, 1, "barrier");
  lua_Integer size = gr_arg_integer(L, 1, 1, "barrier", 1, GR_BARRIER_MAX);
  gr_handle *handle = gr_handle_new(L, &gr_barrier_type);
  return gr_sync_set(L, handle, gr_barrier_new((uint32_t)size));
}

static int barrier_wait(lua_State *L) {
  gr_barrier *b = gr_arg_self(L, &gr_barrier_type, "wait");
  gr_arg_count(L, 2, "wait");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "wait");
  return gr_sync_push_outcome(L, gr_sync_wait_for(L, wait_all, b, deadline_ns));
}

static const luaL_Reg methods[] = {{"wait", barrier_wait}, {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_barrier_type, methods, NULL);
}

void gr_lib_barrier(lua_State *L) {
  lua_pushcfunction(L, barrier_new);
  lua_setfield(L, -2, "barrier");
}
