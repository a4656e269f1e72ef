// SPDX-License-Identifier: MIT
// luaopen: the first call in a process starts the runtime, and makes the
// calling thread a worker and its state the main goroutine.
#include <dlfcn.h>
#include <stdlib.h>

#include "lib/lib.h"
#include "sched/pin.h"
#include "sched/runtime.h"
#include "value/module.h"

// The code must stay mapped for as long as there are threads and atexit
// functions; so must Lua's, into which threads that are left behind return.
static void pin(void *address) {
  Dl_info info;
  if (dladdr(address, &info) && info.dli_fname)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
}

static lua_State *main_state_of(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *state = lua_tothread(L, -1);
  lua_pop(L, 1);
  return state;
}

// Once a process, whatever becomes of it: before anything that all share is
// made, or made again.
static void check_first(lua_State *L) {
  static atomic_bool started;
  if (atomic_exchange(&started, true))
    luaL_error(L, "goroutines: cannot start: %s",
               atomic_load(&gr_the_sched.stopping)
                   ? "they have ended with another Lua state of this process"
                   : "another Lua state of this process uses goroutines");
}

static void start(lua_State *L) {
  check_first(L);
  pin((void *)(uintptr_t)start);
  pin((void *)(uintptr_t)lua_newstate);
  gr_handle_init();
  if (!gr_modules_init() || !gr_loading_init() || !gr_pin_init())
    luaL_error(L, "not enough memory");
  gr_message_add_type(&gr_channel_type);
  gr_message_add_type(&gr_ticker_type);
  gr_message_add_type(&gr_timer_type);
  gr_message_add_type(&gr_task_type);
  gr_message_add_type(&gr_cancellation_type);
  gr_lib_io_init();
  gr_sync_add_types();
  const char *failure = gr_runtime_start(main_state_of(L));
  if (failure)
    luaL_error(L, "goroutines: cannot start: %s", failure);
  gr_goroutine *g = gr_self();
  g->current = L;
  gr_task *task = gr_task_new(NULL, NULL);
  if (!task)
    luaL_error(L, "not enough memory");
  task->id = g->id;
  task->g = g;
  g->owner = task;
  gr_state_init();
  atexit(gr_run_at_end);
}

__attribute__((visibility("default"))) int
luaopen_goroutines_core(lua_State *L);

int luaopen_goroutines_core(lua_State *L) {
  luaL_checkversion(L);
  gr_arg_runtime(L, "require");
  gr_goroutine *g = gr_self();
  if (!g || g->L != main_state_of(L) ||
      (g->is_main && atomic_load(&gr_the_sched.stopping)))
    start(L); // which raises on a thread that has had another state
  if (gr_self()->is_main)
    gr_state_open_main(L);
  else
    gr_state_push_module(L);
  return 1;
}
