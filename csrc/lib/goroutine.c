// SPDX-License-Identifier: MIT
// Starting goroutines, tasks, and what a goroutine may ask for itself.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"

static void task_retain(void *object) {
  gr_task_retain(object);
}

static void task_release(void *object) {
  gr_task_release(object);
}

static void open_type(lua_State *L);

const gr_handle_type gr_task_type = {"goroutines.task", task_retain,
                                     task_release, open_type};

// --- starting ---

// go(f, ...): the module's table comes first.
static int go_call(lua_State *L) {
  gr_arg_function(L, 2, 1, "go");
  gr_block *call = gr_block_encode(L, lua_gettop(L) - 1, GR_VALUES_CALL);
  gr_run_start(L, call, &(gr_run_options){.detached = true});
  return 0;
}

typedef struct options {
  gr_run_options *run;
  bool thread;
} options;

static lua_Number check_number(lua_State *L, const char *key) {
  int value = lua_gettop(L);
  if (lua_type(L, value) != LUA_TNUMBER)
    gr_arg_type_error(L, value, 1, "spawn",
                      lua_pushfstring(L, "option '%s': number", key));
  lua_Number number = lua_tonumber(L, value);
  if (isnan(number))
    gr_arg_error(L, 1, "spawn",
                 lua_pushfstring(L, "option '%s': not a number (NaN)", key));
  return number;
}

// None where that would be decades.
static uint64_t to_limit_ns(lua_Number seconds) {
  return seconds < 1e9 ? (uint64_t)ceil(seconds * 1e9) : 0;
}

// A limit, which has to be positive; at most as much as can be told.
static lua_Number check_limit(lua_State *L, const char *key) {
  lua_Number limit = check_number(L, key);
  if (limit <= 0)
    gr_arg_error(L, 1, "spawn",
                 lua_pushfstring(L, "option '%s': must be positive", key));
  return limit < 1e18 ? limit : 1e18;
}

static void read_option(lua_State *L, options *o) {
  const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
  if (!strcmp(key, "name")) {
    if (lua_type(L, -1) != LUA_TSTRING)
      gr_arg_type_error(L, -1, 1, "spawn", "option 'name': string");
    o->run->name = lua_tostring(L, -1);
  } else if (!strcmp(key, "memory_limit")) {
    o->run->memory_limit = (size_t)ceil(check_limit(L, key));
  } else if (!strcmp(key, "timeout")) {
    lua_Number seconds = check_number(L, key);
    o->run->timeout_ns = to_limit_ns(seconds > 0 ? seconds : 1e-9);
  } else if (!strcmp(key, "cpu_limit")) {
    lua_Number seconds = check_limit(L, key);
    o->run->cpu_limit_ns = to_limit_ns(seconds);
  } else if (!strcmp(key, "thread")) {
    if (!lua_isboolean(L, -1))
      gr_arg_type_error(L, -1, 1, "spawn", "option 'thread': boolean");
    o->thread = lua_toboolean(L, -1);
  } else {
    gr_arg_error(L, 1, "spawn", lua_pushfstring(L, "unknown option '%s'", key));
  }
}

// True if it is to have a thread of its own.
static bool read_options(lua_State *L, int index, gr_run_options *run) {
  options o = {run, false};
  lua_pushnil(L);
  while (lua_next(L, index)) {
    read_option(L, &o);
    lua_pop(L, 1);
  }
  return o.thread;
}

// Runs first in a goroutine that is to have a thread of its own:
// f, arguments... -> f's results
static int call_on_thread(lua_State *L) {
  gr_enter();
  gr_bind();
  gr_leave();
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

gr_run_options gr_spawn_read(lua_State *L, int index, int *first) {
  gr_run_options run = {0};
  bool has_options = lua_istable(L, index), thread = false;
  *first = index + has_options;
  if (has_options)
    thread = read_options(L, index, &run);
  gr_arg_function(L, *first, 1 + has_options, "spawn");
  if (thread) {
    lua_pushcfunction(L, call_on_thread);
    lua_insert(L, *first);
  }
  return run;
}

static int go_spawn(lua_State *L) {
  int first;
  gr_run_options run = gr_spawn_read(L, 1, &first);
  int count = lua_gettop(L) - first + 1;
  gr_handle *handle = gr_handle_new(L, &gr_task_type);
  lua_insert(L, 1);
  gr_block *call = gr_block_encode(L, count, GR_VALUES_CALL);
  gr_task *task = gr_run_start(L, call, &run);
  lua_settop(L, 1);
  gr_handle_set(L, handle, task, 0);
  gr_handle_share(L, 1, handle); // it can come back from the goroutine
  return 1;
}

// --- tasks ---

int gr_task_join_method(lua_State *L) {
  gr_task *task = gr_arg_self(L, &gr_task_type, "join");
  gr_arg_count(L, 2, "join");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "join");
  if (task == gr_run_self())
    return luaL_error(L, "bad call of 'join' (a goroutine cannot join itself)");
  gr_status status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_task_wait(task, deadline_ns);
    gr_leave();
  } while (status != GR_OK && gr_wait_again(L, status));
  if (status != GR_OK)
    return gr_push_failure(L, status);
  lua_settop(L, 1);
  lua_pushboolean(L, task->state == GR_TASK_DONE);
  if (task->outcome)
    return 1 + gr_block_push(L, task->outcome);
  if (task->state == GR_TASK_DONE)
    return 1;
  lua_pushliteral(L, "not enough memory");
  lua_pushliteral(L, "(no traceback)");
  return 3;
}

static const char *status_of(gr_task *task) {
  gr_lock_lock(&task->lock);
  const char *status = "failed";
  if (task->state == GR_TASK_CANCELLED)
    status = "cancelled";
  else if (task->state == GR_TASK_DONE)
    status = "done";
  else if (task->state == GR_TASK_ALIVE && !task->g)
    status = "running"; // in its last moments
  else if (task->state == GR_TASK_ALIVE)
    switch (atomic_load(&task->g->status)) {
    case GR_WAITING:
      status = "waiting";
      break;
    case GR_RUNNABLE:
      status = "runnable";
      break;
    default:
      status = "running";
    }
  gr_lock_unlock(&task->lock);
  return status;
}

static int task_status(lua_State *L) {
  lua_pushstring(L, status_of(gr_arg_self(L, &gr_task_type, "status")));
  return 1;
}

static int push_text(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

static int task_traceback(lua_State *L) {
  gr_task *task = gr_arg_self(L, &gr_task_type, "traceback");
  char *text = gr_dump_task(task);
  if (!text)
    return luaL_error(L, "not enough memory");
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, text);
  int failed = lua_pcall(L, 1, 1, 0);
  free(text);
  return failed ? lua_error(L) : 1;
}

static int task_tostring(lua_State *L) {
  gr_task *task = gr_arg_self(L, &gr_task_type, "tostring");
  gr_push_title(L, task, task->id);
  lua_pushfstring(L, "task: %s (%s)", lua_tostring(L, -1), status_of(task));
  return 1;
}

// Fields `id` and `name`; methods are in the upvalue.
static int task_index(lua_State *L) {
  gr_task *task = gr_arg_self(L, &gr_task_type, "index");
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "id"))
    lua_pushinteger(L, (lua_Integer)task->id);
  else if (!strcmp(key, "name"))
    lua_pushstring(L, task->name);
  else
    lua_gettable(L, lua_upvalueindex(1));
  return 1;
}

// --- the running goroutine ---

static int go_self(lua_State *L) {
  gr_arg_runtime(L, "self");
  gr_task *task = gr_run_self();
  gr_task_retain(task);
  gr_handle_push(L, &gr_task_type, task, 0);
  return 1;
}

static int go_yield(lua_State *L) {
  gr_arg_runtime(L, "yield");
  gr_wait_point(L);
  gr_enter();
  gr_yield();
  gr_leave();
  return 0;
}

static int go_exit(lua_State *L) {
  if (gr_run_self()->is_over)
    return luaL_error(L, "bad call of 'exit' (the goroutine has ended)");
  gr_run_exit(L, lua_gettop(L));
}

static int go_blocking(lua_State *L) {
  gr_arg_function(L, 1, 1, "blocking");
  gr_block_begin();
  // If f raises, the mark stays until the goroutine next enters the runtime
  // and is switched away: a hint that costs a processor early.
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  gr_block_end();
  return lua_gettop(L);
}

static int go_lock_thread(lua_State *L) {
  gr_arg_runtime(L, "lock_thread");
  gr_enter();
  gr_bind();
  gr_leave();
  return 0;
}

static int go_unlock_thread(lua_State *L) {
  gr_arg_runtime(L, "unlock_thread");
  gr_enter();
  bool done = gr_unbind();
  gr_leave();
  if (!done)
    return luaL_error(L, "bad call of 'unlock_thread' (the goroutine has not "
                         "locked its thread)");
  return 0;
}

static int go_procs(lua_State *L) {
  lua_Integer before = atomic_load(&gr_the_sched.procs);
  gr_arg_count(L, 1, "procs");
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer count = gr_arg_integer(L, 1, 1, "procs", 1, GR_PROCS_MAX);
    gr_enter();
    bool done = gr_set_procs((uint32_t)count);
    if (done)
      gr_leave_surplus();
    gr_leave();
    if (!done)
      return luaL_error(L, "no memory or no file descriptors for %I processors",
                        (LUAI_UACINT)count);
  }
  lua_pushinteger(L, before);
  return 1;
}

static int go_count(lua_State *L) {
  gr_arg_runtime(L, "count");
  lua_pushinteger(L, atomic_load(&gr_family_self()->count));
  return 1;
}

static const luaL_Reg task_methods[] = {{"join", gr_task_join_method},
                                        {"cancel", gr_cancel_method},
                                        {"status", task_status},
                                        {"traceback", task_traceback},
                                        {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"__go", go_call},
    {"spawn", go_spawn},
    {"self", go_self},
    {"yield", go_yield},
    {"exit", go_exit},
    {"blocking", go_blocking},
    {"wait_fd", gr_wait_fd},
    {"signal", gr_go_signal},
    {"lock_thread", go_lock_thread},
    {"unlock_thread", go_unlock_thread},
    {"procs", go_procs},
    {"count", go_count},
    {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_handle_register(L, &gr_task_type);
  luaL_newlib(L, task_methods);
  lua_pushcclosure(L, task_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, task_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}

void gr_lib_goroutine(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}
