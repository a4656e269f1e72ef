// SPDX-License-Identifier: MIT
// go.configure, go.stats and go.dump.
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/descriptor.h"
#include "lib/lib.h"
#include "sched/preempt.h"
#include "sync/leak.h"
#include "sync/object.h"
#include "value/image.h"

static const char *const on_error_names[] = {"report", "exit", NULL};
static const char *const preempt_names[] = {"signal", "count", "off", NULL};

// Lua's own limit of nested C calls needs up to 455 KB (220 levels of
// string.gsub, the last 20 in message handlers): with less, recursion without
// end would end the process.
enum { STACK_MIN = 512 * 1024, STACK_MAX = 1024 * 1024 * 1024 };

static int bad_option(lua_State *L, const char *key, const char *why) {
  return gr_arg_error(L, 1, "configure",
                      lua_pushfstring(L, "option '%s': %s", key, why));
}

static int find_name(lua_State *L, int index, const char *const *names) {
  const char *name =
      lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
  for (int i = 0; name && names[i]; i++)
    if (!strcmp(name, names[i]))
      return i;
  return -1;
}

// Setters: the value is on top. With `apply` false they only check.

static void set_on_error(lua_State *L, bool apply) {
  int which = find_name(L, -1, on_error_names);
  gr_handle *handle = gr_handle_test(L, -1, &gr_channel_type);
  if (which < 0 && (!handle || handle->view == GR_VIEW_RECEIVER))
    bad_option(L, "on_error", "\"report\", \"exit\" or a channel expected");
  if (!apply)
    return;
  if (handle)
    gr_handle_share(L, -1, handle);
  gr_settings_set_on_error(handle ? GR_TELL : (gr_on_error)which, handle);
}

static lua_Number check_number(lua_State *L, const char *key) {
  if (lua_type(L, -1) != LUA_TNUMBER)
    bad_option(L, key, "number expected");
  return lua_tonumber(L, -1);
}

static void set_time_slice(lua_State *L, bool apply) {
  lua_Number seconds = check_number(L, "time_slice");
  if (!(seconds > 0))
    bad_option(L, "time_slice", "a positive number expected");
  lua_Number ns = seconds * 1e9;
  if (apply)
    atomic_store(&gr_the_sched.slice_ns, ns < 20000  ? 20000
                                         : ns > 1e18 ? (uint64_t)1e18
                                                     : (uint64_t)ns);
}

static void set_stack_size(lua_State *L, bool apply) {
  lua_Number bytes = check_number(L, "stack_size");
  if (!(bytes >= STACK_MIN && bytes <= STACK_MAX))
    bad_option(L, "stack_size", "from 524288 to 1073741824 bytes expected");
  if (apply && !gr_stack_set_size((size_t)bytes))
    luaL_error(L, "not enough memory");
}

static void set_preempt(lua_State *L, bool apply) {
  int which = find_name(L, -1, preempt_names);
  if (which < 0)
    bad_option(L, "preempt", "\"signal\", \"count\" or \"off\" expected");
  if (!apply)
    return;
  atomic_store(&gr_the_sched.preempt_mode, which);
  if (which == GR_PREEMPT_COUNT)
    gr_hook_count_always(L);
}

static void set_preempt_signal(lua_State *L, bool apply) {
  int is_integer;
  lua_Integer sig = lua_tointegerx(L, -1, &is_integer);
  struct sigaction unused;
  if (lua_type(L, -1) != LUA_TNUMBER || !is_integer || sig <= 0 ||
      sig >= NSIG || sig == SIGKILL || sig == SIGSTOP ||
      sigaction((int)sig, NULL, &unused) != 0)
    bad_option(L, "preempt_signal",
               "the number of a signal that can be caught expected");
  if (apply && !gr_preempt_set_signal((int)sig))
    bad_option(L, "preempt_signal", "this signal cannot be caught");
}

static void set_init(lua_State *L, bool apply) {
  if (lua_type(L, -1) != LUA_TFUNCTION && lua_toboolean(L, -1))
    bad_option(L, "init", "function, or false for none, expected");
  gr_block *block = NULL;
  if (lua_isfunction(L, -1)) {
    lua_pushvalue(L, -1);
    block = gr_block_encode(L, 1, GR_VALUES_CALL);
  }
  if (apply)
    gr_settings_set_init(block);
  else
    gr_block_release(block); // it can be sent
}

static void set_preload(lua_State *L, bool apply) {
  static const char *const expected = "a list of names, or false, expected";
  const gr_preload *preload = NULL;
  int list = lua_gettop(L);
  if (!lua_istable(L, list) && lua_toboolean(L, list))
    bad_option(L, "preload", expected);
  size_t count = lua_istable(L, list) ? lua_rawlen(L, list) : 0;
  if (count > GR_PRELOAD_NAMES)
    bad_option(L, "preload", "at most 64 names expected");
  for (size_t i = 1; i <= count; i++) {
    size_t len;
    const char *name = lua_rawgeti(L, list, (lua_Integer)i) == LUA_TSTRING
                           ? lua_tolstring(L, -1, &len)
                           : NULL;
    if (!name || len == 0 || strcspn(name, "'\"\\\r\n") != len)
      bad_option(L, "preload", expected);
    lua_pop(L, 1);
  }
  const char *why_not = NULL;
  if (count > 0 && !(preload = gr_preload_get(L, list, &why_not)))
    bad_option(L, "preload", why_not);
  if (apply)
    gr_settings_set_preload(preload);
  lua_settop(L, list);
}

static void set_close_timeout(lua_State *L, bool apply) {
  lua_Number seconds = check_number(L, "close_timeout");
  if (!(seconds >= 0))
    bad_option(L, "close_timeout", "a number that is not negative expected");
  if (apply)
    gr_cancel_set_close_timeout(seconds < 1e9 ? (uint64_t)ceil(seconds * 1e9)
                                              : GR_NEVER);
}

typedef struct setting {
  const char *key;
  void (*set)(lua_State *L, bool apply);
} setting;

static const setting settings[] = {
    {"on_error", set_on_error},
    {"time_slice", set_time_slice},
    {"stack_size", set_stack_size},
    {"preempt", set_preempt},
    {"preempt_signal", set_preempt_signal},
    {"init", set_init},
    {"preload", set_preload},
    {"close_timeout", set_close_timeout},
};

static void set(lua_State *L, bool apply) {
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    size_t i = 0, count = sizeof settings / sizeof *settings;
    while (i < count && strcmp(settings[i].key, key))
      i++;
    if (i == count)
      gr_arg_error(L, 1, "configure",
                   lua_pushfstring(L, "unknown option '%s'", key));
    settings[i].set(L, apply);
    lua_pop(L, 1);
  }
}

static int push_settings(lua_State *L) {
  gr_sched *s = &gr_the_sched;
  lua_createtable(L, 0, 7);
  gr_settings_push_on_error(L);
  lua_setfield(L, -2, "on_error");
  lua_pushnumber(L, gr_seconds(atomic_load(&s->slice_ns)));
  lua_setfield(L, -2, "time_slice");
  lua_pushinteger(L, (lua_Integer)gr_stack_get_size());
  lua_setfield(L, -2, "stack_size");
  lua_pushstring(L, preempt_names[atomic_load(&s->preempt_mode)]);
  lua_setfield(L, -2, "preempt");
  lua_pushinteger(L, atomic_load(&s->preempt_signal));
  lua_setfield(L, -2, "preempt_signal");
  uint64_t close_ns = gr_cancel_get_close_timeout();
  lua_pushnumber(L, close_ns == GR_NEVER ? (lua_Number)HUGE_VAL
                                         : gr_seconds(close_ns));
  lua_setfield(L, -2, "close_timeout");
  gr_block *init = gr_settings_get_init();
  if (init) {
    gr_message m = {.kind = GR_MESSAGE_BLOCK, .block = init};
    gr_message_push(L, &m);
    lua_setfield(L, -2, "init");
  }
  const gr_preload *preload = gr_settings_get_preload();
  if (preload) {
    gr_preload_push_names(L, preload);
    lua_setfield(L, -2, "preload");
  }
  return 1;
}

static int go_configure(lua_State *L) {
  gr_arg_count(L, 1, "configure");
  if (lua_isnoneornil(L, 1))
    return push_settings(L);
  if (!lua_istable(L, 1))
    gr_arg_type_error(L, 1, 1, "configure", "table");
  set(L, false); // all or nothing
  set(L, true);
  return 0;
}

static void put(lua_State *L, const char *name, unsigned long long count) {
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, name);
}

static int go_stats(lua_State *L) {
  gr_sched *s = &gr_the_sched;
  uint32_t stacks, unguarded;
  gr_arg_count(L, 0, "stats");
  gr_stack_count(&stacks, &unguarded);
  lua_createtable(L, 0, 24);
  gr_enter();
  gr_leaks leaks = gr_leaks_find(&gr_channel_type);
  gr_leave();
  free(leaks.ids);
  put(L, "goroutines", atomic_load(&gr_family_self()->count));
  put(L, "leaked", leaks.count);
  put(L, "families", atomic_load(&s->family_count));
  put(L, "channels", gr_channel_count_all());
  put(L, "timers", gr_timer_count());
  put(L, "sync_objects", gr_object_count());
  put(L, "messages", gr_block_count());
  put(L, "descriptors", gr_descriptor_count());
  put(L, "handles", gr_handle_count());
  put(L, "procs", atomic_load(&s->procs));
  put(L, "idle_procs", atomic_load(&s->idle_count));
  gr_lock_lock(&s->lock);
  uint32_t threads = s->threads;
  gr_lock_unlock(&s->lock);
  put(L, "threads", threads);
  put(L, "stacks", stacks);
  put(L, "stacks_without_guard", unguarded);
  put(L, "preemptions", atomic_load(&s->preemptions));
  put(L, "signals", atomic_load(&s->signals));
  put(L, "steals", atomic_load(&s->steals));
  put(L, "handoffs", atomic_load(&s->handoffs));
  put(L, "retakes", atomic_load(&s->retakes));
  uint64_t copied, dropped;
  gr_image_count(&copied, &dropped);
  put(L, "states_copied", copied);
  put(L, "functions_in_images", gr_image_count_functions());
  put(L, "states_dropped", dropped);
  lua_pushstring(L, gr_image_why_not());
  lua_setfield(L, -2, "image_failure");
  const gr_preload *preload = gr_settings_get_preload();
  if (preload && gr_preload_push_failure(L, preload))
    lua_setfield(L, -2, "preload_failure");
  return 1;
}

static int put_dump(FILE *f, bool closes, const char *text) {
  errno = 0;
  bool done = fputs(text, f) >= 0;
  done = (closes ? fclose(f) : fflush(f)) == 0 && done;
  return done ? 0 : errno ? errno : EIO;
}

// To the file that the first argument names or is, or to stderr. 0, or errno,
// which is the thread's, as is the mark.
static int write_dump(lua_State *L, const char *text) {
  luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  const char *path = lua_tostring(L, 1);
  gr_mark_blocking(true);
  FILE *f = stream ? stream->f : path ? fopen(path, "we") : stderr;
  int err = f ? put_dump(f, path != NULL, text) : errno;
  gr_mark_blocking(false);
  return err;
}

static int go_dump(lua_State *L) {
  gr_arg_count(L, 1, "dump");
  luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (stream && !stream->closef)
    gr_arg_error(L, 1, "dump", "a closed file");
  if (!stream && !lua_isnoneornil(L, 1) && lua_type(L, 1) != LUA_TSTRING)
    gr_arg_type_error(L, 1, 1, "dump", "path or file");
  lua_settop(L, 1);
  char *text = gr_dump_live();
  if (!text)
    return luaL_error(L, "not enough memory");
  int err = write_dump(L, text);
  free(text);
  if (!err) {
    lua_pushboolean(L, 1);
    return 1;
  }
  err = uv_translate_sys_error(err);
  return stream ? gr_io_push_failure(L, err, "dump")
                : gr_fs_push_failure(L, err, luaL_optstring(L, 1, "stderr"));
}

static const luaL_Reg functions[] = {{"configure", go_configure},
                                     {"dump", go_dump},
                                     {"stats", go_stats},
                                     {NULL, NULL}};

void gr_lib_config(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}
