// SPDX-License-Identifier: MIT
// Condition variables.
#include "lib/lib.h"
#include "sync/cond.h"

static void open_type(lua_State *L);

const gr_handle_type gr_cond_type = {"goroutines.cond", gr_object_retain,
                                     gr_object_release, open_type};

static int cond_new(lua_State *L) {
  gr_arg_count(L, 1, "cond");
  const gr_handle *mutex = gr_handle_test(L, 1, &gr_mutex_type);
  if (!mutex)
    return gr_arg_type_error(L, 1, 1, "cond", gr_mutex_type.name);
  gr_handle *handle = gr_handle_new(L, &gr_cond_type);
  return gr_sync_set(L, handle, gr_cond_new(mutex->object));
}

static int not_held(lua_State *L, uint64_t holder) {
  if (!holder)
    return luaL_error(L, "bad call of 'wait' (the mutex is not locked)");
  return luaL_error(L, "bad call of 'wait' (the mutex is locked by %s)",
                    gr_sync_push_holder(L, holder));
}

// A host's hook that has interrupted the wait, and has not raised, may have
// made it miss a signal. So it counts as one.
static int cond_wait(lua_State *L) {
  gr_cond *c = gr_arg_self(L, &gr_cond_type, "wait");
  gr_arg_count(L, 2, "wait");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "wait");
  uint64_t holder = gr_mutex_holder(c->mutex);
  if (holder != gr_self()->id)
    return not_held(L, holder);
  gr_wait_point(L);
  gr_enter();
  gr_status status = gr_cond_wait(c, deadline_ns);
  gr_leave();
  if (status == GR_OK || gr_wait_again(L, status))
    status = GR_OK;
  return gr_sync_push_outcome(L, status);
}

static int cond_signal(lua_State *L) {
  gr_cond *c = gr_arg_self(L, &gr_cond_type, "signal");
  gr_enter();
  gr_cond_signal(c);
  gr_leave();
  return 0;
}

static int cond_broadcast(lua_State *L) {
  gr_cond *c = gr_arg_self(L, &gr_cond_type, "broadcast");
  gr_enter();
  gr_cond_broadcast(c);
  gr_leave();
  return 0;
}

static const luaL_Reg methods[] = {
    {"wait", cond_wait},
    {"signal", cond_signal},
    {"broadcast", cond_broadcast},
    {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_cond_type, methods, NULL);
}

void gr_lib_cond(lua_State *L) {
  lua_pushcfunction(L, cond_new);
  lua_setfield(L, -2, "cond");
}
