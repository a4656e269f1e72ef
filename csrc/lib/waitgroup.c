// SPDX-License-Identifier: MIT
// Wait groups. A goroutine that wg:go starts counts until it is gone, however
// it ends: its task, and not its function, counts down.
#include "lib/lib.h"
#include "sync/waitgroup.h"

static void open_type(lua_State *L);

const gr_handle_type gr_waitgroup_type = {
    "goroutines.waitgroup", gr_object_retain, gr_object_release, open_type};

static gr_status wait_zero(void *object, uint64_t deadline_ns) {
  return gr_waitgroup_wait(object, deadline_ns);
}

static int group_new(lua_State *L) {
  lua_Integer count = 0;
  gr_arg_count(L, 1, "waitgroup");
  if (!lua_isnoneornil(L, 1))
    count = gr_arg_integer(L, 1, 1, "waitgroup", 0, GR_WAITGROUP_MAX);
  gr_handle *handle = gr_handle_new(L, &gr_waitgroup_type);
  return gr_sync_set(L, handle, gr_waitgroup_new((uint32_t)count));
}

static bool add(gr_waitgroup *wg, int64_t change) {
  if (gr_waitgroup_add_quickly(wg, change))
    return true;
  gr_enter();
  bool done = gr_waitgroup_add(wg, change);
  gr_leave();
  return done;
}

static int bad_count(lua_State *L, lua_Integer change) {
  if (change < 0)
    return luaL_error(L, "negative count of a waitgroup");
  return luaL_error(L, "too high a count of a waitgroup (at most %d)",
                    GR_WAITGROUP_MAX);
}

static int group_add(lua_State *L) {
  gr_waitgroup *wg = gr_arg_self(L, &gr_waitgroup_type, "add");
  gr_arg_count(L, 2, "add");
  lua_Integer change =
      gr_arg_integer(L, 2, 1, "add", -GR_WAITGROUP_MAX, GR_WAITGROUP_MAX);
  return add(wg, change) ? 0 : bad_count(L, change);
}

static int group_done(lua_State *L) {
  gr_waitgroup *wg = gr_arg_self(L, &gr_waitgroup_type, "done");
  return GR_LIKELY(add(wg, -1)) ? 0 : bad_count(L, -1);
}

static int group_wait(lua_State *L) {
  gr_waitgroup *wg = gr_arg_self(L, &gr_waitgroup_type, "wait");
  gr_arg_count(L, 2, "wait");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "wait");
  return gr_sync_push_outcome(L,
                              gr_sync_wait_for(L, wait_zero, wg, deadline_ns));
}

// On a scheduler's stack; has a reference.
static void count_down(void *arg) {
  gr_waitgroup *wg = arg;
  if (!gr_waitgroup_add(wg, -1))
    gr_write_error(
        "goroutines: negative count of a waitgroup: a goroutine that "
        "its 'go' started has ended, and was counted down before\n");
  gr_object_release(wg);
}

static gr_goroutine *prepare(lua_State *L, gr_waitgroup *wg, gr_block *call) {
  char creator[GR_CREATOR_BYTES];
  gr_task *task, *self = gr_run_self();
  gr_run_options run = {.detached = true, .context = self->context};
  gr_run_where(L, creator);
  gr_goroutine *g = gr_run_prepare(call, &run, creator, self->id, &task);
  if (!g)
    return NULL;
  gr_cancel_inherit(L, g);
  gr_object_retain(wg);
  task->on_end = count_down;
  task->on_end_arg = wg;
  return g;
}

static int group_go(lua_State *L) {
  gr_waitgroup *wg = gr_arg_self(L, &gr_waitgroup_type, "go");
  gr_arg_function(L, 2, 1, "go");
  gr_block *call = gr_block_encode(L, lua_gettop(L) - 1, GR_VALUES_CALL);
  if (!add(wg, 1)) {
    gr_block_release(call);
    return bad_count(L, 1);
  }
  gr_goroutine *g = prepare(L, wg, call);
  if (!g) {
    gr_block_release(call);
    add(wg, -1);
    return luaL_error(L, "not enough memory");
  }
  gr_enter();
  gr_start(g);
  gr_leave();
  return 0;
}

static const luaL_Reg methods[] = {
    {"add", group_add}, {"done", group_done}, {"wait", group_wait},
    {"go", group_go},   {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_waitgroup_type, methods, NULL);
}

void gr_lib_waitgroup(lua_State *L) {
  lua_pushcfunction(L, group_new);
  lua_setfield(L, -2, "waitgroup");
}
