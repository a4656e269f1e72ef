// SPDX-License-Identifier: MIT
// go.process: child processes. What `run` does is in
// lua/goroutines/process.lua.
#include "io/process.h"

#include <math.h>
#include <string.h>

#include "io/signal.h"
#include "lib/lib.h"

static void process_retain(void *object) {
  gr_process_retain(object);
}

static void process_release(void *object) {
  gr_process_release(object);
}

static void open_process(lua_State *L);

const gr_handle_type gr_process_type = {"goroutines.process", process_retain,
                                        process_release, open_process};

static const char *const stdio_names[] = {"stdin", "stdout", "stderr"};

// --- options: of the table at index 1, for the function `name` ---

static int bad_option(lua_State *L, const char *name, const char *key,
                      const char *why) {
  return gr_option_error(L, 1, name, key, why);
}

static void check_keys(lua_State *L, const char *name) {
  static const char *const keys[] = {"stdin", "stdout", "stderr",
                                     "cwd",   "env",    NULL};
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pop(L, 1);
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0)
      continue; // a word of the command
    const char *key =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
    int i = 0;
    while (keys[i] && strcmp(keys[i], key))
      i++;
    if (!keys[i])
      gr_arg_error(L, 1, name, lua_pushfstring(L, "unknown option '%s'", key));
  }
}

// The value on top, a string or number, as a string for the system; NULL when
// it is something else.
static const char *to_text(lua_State *L) {
  size_t len;
  int type = lua_type(L, -1);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    return NULL;
  const char *text = lua_tolstring(L, -1, &len);
  return strlen(text) == len ? text : NULL;
}

// The arrays below are userdata, and their strings in the list `kept`, so that
// all is there while the process is started and garbage afterwards.

static char **new_array(lua_State *L, lua_Integer count) {
  char **array = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *array, 0);
  memset(array, 0, (size_t)(count + 1) * sizeof *array);
  return array;
}

static void keep(lua_State *L, int kept) {
  lua_rawseti(L, kept, (lua_Integer)lua_rawlen(L, kept) + 1);
}

static char **read_args(lua_State *L, const char *name, int kept) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  if (count == 0)
    gr_arg_error(L, 1, name, "the name of a program expected at [1]");
  char **args = new_array(L, count);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    args[i - 1] = (char *)(uintptr_t)to_text(L);
    if (!args[i - 1])
      gr_arg_error(L, 1, name,
                   lua_pushfstring(L, "string without zeros expected at [%I]",
                                   (LUAI_UACINT)i));
    keep(L, kept);
  }
  return args;
}

static lua_Integer count_pairs(lua_State *L, int index) {
  lua_Integer count = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    count++;
  }
  return count;
}

static char **read_env(lua_State *L, const char *name, int kept) {
  if (lua_getfield(L, 1, "env") == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  if (!lua_istable(L, -1))
    bad_option(L, name, "env", "table expected");
  int index = lua_gettop(L), count = 0;
  char **env = new_array(L, count_pairs(L, index));
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *value = to_text(L);
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (!value || !key || strchr(key, '=') || strlen(key) != lua_rawlen(L, -2))
      bad_option(L, name, "env",
                 "names and values expected, strings without zeros");
    env[count++] = (char *)(uintptr_t)lua_pushfstring(L, "%s=%s", key, value);
    keep(L, kept);
    lua_pop(L, 1);
  }
  return env;
}

static gr_stdio read_stdio(lua_State *L, const char *name, const char *key) {
  gr_stdio stdio = {GR_STDIO_INHERIT, NULL};
  if (lua_getfield(L, 1, key) != LUA_TNIL) {
    const char *word =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    gr_handle *stream = gr_handle_test(L, -1, &gr_stream_type);
    if (!stream)
      stream = gr_handle_test(L, -1, &gr_connection_type);
    if (stream)
      stdio = (gr_stdio){GR_STDIO_STREAM, stream->object};
    else if (!strcmp(word, "null"))
      stdio.kind = GR_STDIO_NULL;
    else if (!strcmp(word, "pipe"))
      stdio.kind = GR_STDIO_PIPE;
    else if (strcmp(word, "inherit") != 0)
      bad_option(L, name, key,
                 "\"inherit\", \"null\", \"pipe\" or a stream expected");
  }
  lua_pop(L, 1);
  return stdio;
}

static gr_spawn read_spawn(lua_State *L, const char *name) {
  gr_spawn spawn = {0};
  check_keys(L, name);
  lua_newtable(L);
  int kept = lua_gettop(L);
  spawn.args = read_args(L, name, kept);
  spawn.env = read_env(L, name, kept);
  if (lua_getfield(L, 1, "cwd") != LUA_TNIL) {
    spawn.cwd = lua_type(L, -1) == LUA_TSTRING ? to_text(L) : NULL;
    if (!spawn.cwd)
      bad_option(L, name, "cwd", "string without zeros expected");
  }
  for (int i = 0; i < 3; i++)
    spawn.stdio[i] = read_stdio(L, name, stdio_names[i]);
  return spawn;
}

static void check_table(lua_State *L, const char *name) {
  gr_arg_count(L, 1, name);
  if (!lua_istable(L, 1))
    gr_arg_type_error(L, 1, 1, name, "table");
}

static int process_spawn(lua_State *L) {
  gr_process *p = NULL;
  check_table(L, "spawn");
  gr_spawn spawn = read_spawn(L, "spawn");
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_process_spawn(&spawn, &p);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "spawn");
  gr_handle_push(L, &gr_process_type, p, 0);
  return 1;
}

// --- run: spawn, input, output and the end in one call ---

// Moves an option out of the table at index 1; it is on top then.
static int take_option(lua_State *L, const char *key) {
  int type = lua_getfield(L, 1, key);
  lua_pushnil(L);
  lua_setfield(L, 1, key);
  return type;
}

static void copy_table(lua_State *L) {
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_replace(L, 1);
}

static void set_default(lua_State *L, const char *key, const char *value) {
  if (lua_getfield(L, 1, key) == LUA_TNIL) {
    lua_pushstring(L, value);
    lua_setfield(L, 1, key);
  }
  lua_pop(L, 1);
}

static int process_run(lua_State *L) {
  check_table(L, "run");
  copy_table(L);
  int input = take_option(L, "stdin"); // at 2
  if (input != LUA_TNIL && input != LUA_TSTRING)
    bad_option(L, "run", "stdin", "string expected");
  int timeout = take_option(L, "timeout"); // at 3
  if (timeout != LUA_TNIL && timeout != LUA_TNUMBER)
    bad_option(L, "run", "timeout", "number expected");
  if (timeout == LUA_TNUMBER && isnan(lua_tonumber(L, 3)))
    bad_option(L, "run", "timeout", "not a number (NaN)");
  set_default(L, "stdin", input == LUA_TNIL ? "null" : "pipe");
  set_default(L, "stdout", "pipe");
  set_default(L, "stderr", "pipe");
  read_spawn(L, "run");
  lua_settop(L, 3);
  gr_state_complete(L); // that is Lua code
  lua_getglobal(L, "require");
  lua_pushliteral(L, "goroutines.process");
  lua_call(L, 1, 1);
  gr_state_push_module(L);
  lua_rotate(L, 1, 2); // the function and the module come first
  lua_call(L, 4, LUA_MULTRET);
  return lua_gettop(L);
}

// --- processes ---

static gr_process *check_self(lua_State *L, const char *name) {
  return gr_arg_self(L, &gr_process_type, name);
}

static int process_wait(lua_State *L) {
  gr_process *p = check_self(L, "wait");
  gr_arg_count(L, 2, "wait");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "wait");
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_process_wait(p, deadline_ns);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "wait");
  gr_lock_lock(&p->lock);
  int err = p->err, code = p->code, signal = p->signal;
  gr_lock_unlock(&p->lock);
  if (err)
    return gr_io_push_failure(L, err, "wait");
  if (signal == 0) {
    lua_pushinteger(L, code);
    return 1;
  }
  const char *name = gr_signal_name(signal);
  lua_pushnil(L);
  if (name)
    lua_pushstring(L, name);
  else
    lua_pushfstring(L, "%d", signal);
  return 2;
}

static int process_kill(lua_State *L) {
  gr_process *p = check_self(L, "kill");
  const char *name = "TERM";
  gr_arg_count(L, 2, "kill");
  if (!lua_isnoneornil(L, 2)) {
    if (lua_type(L, 2) != LUA_TSTRING)
      gr_arg_type_error(L, 2, 1, "kill", "string");
    name = lua_tostring(L, 2);
  }
  int number = gr_signal_number(name);
  if (number == 0)
    gr_arg_error(L, 1, "kill", lua_pushfstring(L, "no signal '%s'", name));
  gr_enter();
  int status = gr_process_kill(p, number);
  gr_leave();
  return gr_io_push_result(L, status, "kill");
}

// Upvalue: the methods.
static int process_index(lua_State *L) {
  gr_process *p = check_self(L, "index");
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
    return 1;
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "pid")) {
    lua_pushinteger(L, p->pid);
    return 1;
  }
  for (int i = 0; i < 3; i++) {
    if (strcmp(key, stdio_names[i]) != 0 || !p->streams[i])
      continue;
    gr_stream_retain(p->streams[i]);
    gr_stream_push(L, p->streams[i]);
    return 1;
  }
  lua_pushnil(L);
  return 1;
}

static int process_tostring(lua_State *L) {
  lua_pushfstring(L, "process: %d", check_self(L, "tostring")->pid);
  return 1;
}

static const luaL_Reg process_methods[] = {
    {"wait", process_wait}, {"kill", process_kill}, {NULL, NULL}};

static void open_process(lua_State *L) {
  gr_handle_register(L, &gr_process_type);
  luaL_newlib(L, process_methods);
  lua_pushcclosure(L, process_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, process_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}

static const luaL_Reg functions[] = {
    {"spawn", process_spawn}, {"run", process_run}, {NULL, NULL}};

void gr_lib_process(lua_State *L) {
  luaL_newlib(L, functions);
}
