// SPDX-License-Identifier: MIT
// luaopen: the first call in a process starts the runtime, and makes the
// calling thread a worker and its state the main goroutine.
#include <dlfcn.h>
#include <stdlib.h>

#include "lib/lib.h"
#include "sched/runtime.h"
#include "value/module.h"

// The code must stay mapped for as long as there are threads and atexit
// functions; so must Lua's, into which threads that are left behind return.
static void pin(void *address) {
  Dl_info info;
  if (dladdr(address, &info) && info.dli_fname)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
}

static void start(lua_State *L) {
  pin((void *)(uintptr_t)start);
  pin((void *)(uintptr_t)lua_newstate);
  gr_handle_init();
  if (!gr_modules_init() || !gr_loading_init())
    luaL_error(L, "not enough memory");
  gr_message_add_type(&gr_channel_type);
  gr_message_add_type(&gr_ticker_type);
  gr_message_add_type(&gr_timer_type);
  gr_message_add_type(&gr_task_type);
  gr_lib_io_init();
  gr_sync_add_types();
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main_state = lua_tothread(L, -1);
  lua_pop(L, 1);
  const char *failure = gr_runtime_start(main_state);
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
  atexit(gr_run_at_end);
}

__attribute__((visibility("default"))) int
luaopen_goroutines_core(lua_State *L);

int luaopen_goroutines_core(lua_State *L) {
  luaL_checkversion(L);
  if (!gr_self())
    start(L);
  gr_state_open(L, gr_self()->is_main);
  return 1;
}
