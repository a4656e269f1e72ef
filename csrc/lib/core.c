// SPDX-License-Identifier: MIT
// luaopen: the first call in a process starts the runtime. The first in a Lua
// state of the host's makes the calling thread a worker and the state that of a
// main goroutine.
#include <dlfcn.h>
#include <stdlib.h>

#include "lib/lib.h"
#include "sched/debug.h"
#include "sched/pin.h"
#include "sched/runtime.h"
#include "value/finalizer.h"
#include "value/layout.h"
#include "value/memo.h"
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

// What all families share.
static const char *start_runtime(void) {
  pin((void *)(uintptr_t)start_runtime);
  pin((void *)(uintptr_t)lua_newstate);
  gr_finalizer_learn();
  gr_handle_init();
  gr_memo_learn();
  gr_layout_learn();
  if (!gr_modules_init() || !gr_loading_init() || !gr_pin_init())
    return "not enough memory";
  gr_message_add_type(&gr_channel_type);
  gr_message_add_type(&gr_ticker_type);
  gr_message_add_type(&gr_timer_type);
  gr_message_add_type(&gr_task_type);
  gr_message_add_type(&gr_cancellation_type);
  gr_lib_io_init();
  gr_sync_add_types();
  const char *failure = gr_runtime_start();
  if (!failure)
    atexit(gr_run_at_end);
  return failure;
}

// Makes the calling thread, which has no goroutine, that of a new main.
static const char *join_runtime(lua_State *L) {
  gr_task *task = gr_task_new(NULL, NULL);
  if (!task || !gr_runtime_join(main_state_of(L))) {
    if (task)
      gr_task_release(task);
    return "not enough memory";
  }
  gr_goroutine *g = gr_self();
  g->current = L;
  task->id = g->id;
  task->g = g;
  task->family = g->family;
  g->owner = task;
  if (gr_settings_init(g->family))
    return NULL;
  gr_family_end();
  return "not enough memory";
}

static gr_lock once_lock = GR_LOCK_STATIC(GR_RANK_TASK);

// The first time, whatever comes of it. NULL, or why there are no goroutines.
static const char *start_once(void) {
  static bool is_done; // guarded by the lock
  static const char *failure;
  gr_lock_lock(&once_lock);
  if (!is_done)
    failure = start_runtime();
  is_done = true;
  gr_lock_unlock(&once_lock);
  return failure;
}

// By a main, which does not switch meanwhile.
static void make_images_once(void) {
  static bool is_done; // guarded by the lock
  gr_lock_lock(&once_lock);
  if (!is_done)
    gr_state_init();
  is_done = true;
  gr_lock_unlock(&once_lock);
}

static void start(lua_State *L) {
  const char *failure = start_once();
  if (!failure)
    failure = join_runtime(L);
  if (failure)
    luaL_error(L, "goroutines: cannot start: %s", failure);
  make_images_once();
  if (gr_the_debug.sigquit)
    gr_dump_at_quit(L);
}

static void check_process(lua_State *L) {
  if (gr_is_child())
    gr_arg_apart_error(L, "require");
  if (atomic_load(&gr_the_sched.stopping))
    luaL_error(L, "goroutines: cannot start: this process ends");
}

// A thread runs one main state at a time: which one it is in, it cannot tell.
static void check_thread(lua_State *L, gr_goroutine *g) {
  if (gr_state_is_open(L))
    luaL_error(L, "goroutines: cannot start: %s",
               g ? "the Lua state is closing"
                 : "another thread has loaded them in this Lua state");
  if (g && !gr_is_apart())
    luaL_error(L, "goroutines: cannot start: %s",
               g->is_main ? "another Lua state of this thread uses goroutines; "
                            "close it first, or use another thread"
                          : "this is a goroutine's thread");
}

__attribute__((visibility("default"))) int
luaopen_goroutines_core(lua_State *L);

int luaopen_goroutines_core(lua_State *L) {
  luaL_checkversion(L);
  gr_goroutine *g = gr_self();
  if (!g || g->is_over || g->L != main_state_of(L)) {
    check_process(L);
    check_thread(L, g);
    start(L);
  }
  if (gr_self()->is_main)
    gr_state_open_main(L);
  else
    gr_state_push_module(L);
  return 1;
}
