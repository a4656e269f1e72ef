// SPDX-License-Identifier: MIT
// The functions of the standard libraries that may block the thread tell the
// scheduler so, in every state: it then takes the processor away as soon as
// somebody wants it, and not at the end of a slice.
//
// A mark is set around the stock function, which is called in the frame of ours
// so that errors name the same function and arguments. If it raises, the mark
// stays until the goroutine is next switched away from: a hint too many.
//
// Besides, files are closed in children, and what one call writes is not mixed
// with what others write.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/lib.h"

// To another thread: a main that cannot go on elsewhere would wait for the
// call.
static gr_worker *leave_to_main(void) {
  gr_enter();
  gr_leave_main_thread();
  gr_leave();
  return gr_worker_self();
}

void gr_mark_blocking(bool blocks) {
  gr_worker *w = gr_worker_self(); // a finalizer may have moved us
  if (w && blocks && GR_UNLIKELY(w->main && !w->main->may_move))
    w = leave_to_main();
  if (w)
    atomic_store_explicit(&w->blocking, blocks, memory_order_relaxed);
}

// The stock function is the upvalue, a plain C function.
static int call_stock(lua_State *L) {
  lua_CFunction stock = lua_tocfunction(L, lua_upvalueindex(1));
  gr_mark_blocking(true);
  int count = stock(L);
  gr_mark_blocking(false);
  return count;
}

// Children do not get the descriptors of files among the results, which are on
// top. (One that is started between opening and this has it all the same.)
static int close_in_children(lua_State *L, int count) {
  for (int i = lua_gettop(L) - count + 1; i <= lua_gettop(L); i++) {
    luaL_Stream *stream = luaL_testudata(L, i, LUA_FILEHANDLE);
    if (stream && stream->closef)
      fcntl(fileno(stream->f), F_SETFD, FD_CLOEXEC);
  }
  return count;
}

static int call_opening(lua_State *L) {
  return close_in_children(L, call_stock(L));
}

// --- writing ---

// The arguments as one, if they are what `write` takes and not large.
static void join_arguments(lua_State *L, int first) {
  enum { JOINED_MAX = 64 * 1024 };
  int top = lua_gettop(L);
  size_t bytes = 0;
  for (int i = first; i <= top; i++) {
    if (lua_type(L, i) == LUA_TSTRING)
      bytes += lua_rawlen(L, i);
    else if (lua_type(L, i) != LUA_TNUMBER)
      return;
  }
  if (bytes > JOINED_MAX || !lua_checkstack(L, 2))
    return;
  for (int i = first; i <= top; i++) {
    if (lua_type(L, i) != LUA_TNUMBER || lua_isinteger(L, i))
      continue;
    char text[64]; // floats as `write` has them: without ".0"
    lua_pushlstring(
        L, text, (size_t)lua_number2str(text, sizeof text, lua_tonumber(L, i)));
    lua_replace(L, i);
  }
  lua_concat(L, top - first + 1);
}

static int call_write(lua_State *L) {
  if (lua_gettop(L) > 1)
    join_arguments(L, 1);
  return call_stock(L);
}

static int call_file_write(lua_State *L) {
  if (lua_gettop(L) > 2)
    join_arguments(L, 2);
  return call_stock(L);
}

// --- lines: the stock iterator has upvalues, and is called as a function ---

static int next_line(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  gr_mark_blocking(true);
  lua_call(L, 0, LUA_MULTRET);
  gr_mark_blocking(false);
  return lua_gettop(L);
}

static int call_lines(lua_State *L) {
  int count = call_opening(L), at = lua_gettop(L) - count + 1;
  lua_pushvalue(L, at);
  lua_pushcclosure(L, next_line, 1);
  lua_replace(L, at);
  return count;
}

// --- what starts processes: blocks for long, and off the thread of a main ---

static int call_child(lua_State *L) {
  sigset_t before;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  int count = lua_gettop(L) - 1;
  gr_block_begin();
  // Children have the signal mask that the process began with.
  pthread_sigmask(SIG_SETMASK, &gr_the_sched.host_mask, &before);
  int failed = lua_pcall(L, count, LUA_MULTRET, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  gr_block_end();
  return failed ? lua_error(L) : lua_gettop(L);
}

static int call_popen(lua_State *L) {
  return close_in_children(L, call_child(L));
}

// --- installing ---

static const luaL_Reg io_functions[] = {
    {"close", call_stock}, {"flush", call_stock},  {"input", call_opening},
    {"lines", call_lines}, {"open", call_opening}, {"output", call_opening},
    {"popen", call_popen}, {"read", call_stock},   {"tmpfile", call_opening},
    {"write", call_write}, {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"close", call_stock},      {"flush", call_stock}, {"lines", call_lines},
    {"read", call_stock},       {"seek", call_stock},  {"setvbuf", call_stock},
    {"write", call_file_write}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {{"__close", call_stock}, {NULL, NULL}};

static const luaL_Reg os_functions[] = {
    {"execute", call_child}, {"remove", call_stock}, {"rename", call_stock},
    {"tmpname", call_stock}, {NULL, NULL},
};

// Replaces functions of the table on top by ours around them; not what is no
// plain C function: the program's own.
static void wrap(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name; functions++) {
    int table = lua_gettop(L);
    lua_getfield(L, table, functions->name);
    if (lua_iscfunction(L, -1) && !lua_getupvalue(L, -1, 1)) {
      lua_pushcclosure(L, functions->func, 1);
      lua_setfield(L, table, functions->name);
    }
    lua_settop(L, table);
  }
}

void gr_lib_blocking(lua_State *L) {
  int top = lua_gettop(L);
  if (lua_getglobal(L, "io") == LUA_TTABLE)
    wrap(L, io_functions);
  if (lua_getglobal(L, "os") == LUA_TTABLE)
    wrap(L, os_functions);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE) {
    wrap(L, metamethods);
    if (lua_getfield(L, -1, "__index") == LUA_TTABLE)
      wrap(L, methods);
  }
  lua_settop(L, top);
}
