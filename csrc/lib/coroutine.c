// SPDX-License-Identifier: MIT
// The functions of the coroutine library that run coroutines, with the same
// behaviour as the stock ones, and two things more: they publish which
// coroutine runs, so that preemption arms the right one; and a new coroutine
// does not inherit a hook of ours.
#include "lib/lib.h"
#include "sched/preempt.h"

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (!co)
    luaL_typeerror(L, 1, "coroutine");
  return co;
}

// Moves `count` arguments into the coroutine and runs it. The number of
// results, or -1: then the error is on top of L.
static int resume(lua_State *L, lua_State *co, int count) {
  if (!lua_checkstack(co, count)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, count);
  gr_goroutine *g = gr_self();
  gr_resume self = {.from = g->current, .co = co, .outer = g->resumes};
  g->resumes = &self;
  g->current = co;
  int results;
  int status = lua_resume(co, L, count, &results);
  g->current = self.from;
  g->resumes = self.outer;
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    gr_scope_abandon(L, co); // first: it may leave for good
    gr_protect_caught(L);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, results);
  return results;
}

static int co_resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  int results = resume(L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, results >= 0);
  if (results < 0)
    results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

// Closes a suspended coroutine or one in error, running its handlers.
static int reset(lua_State *co) {
  gr_goroutine *g = gr_self();
  gr_resume self = {.from = g->current,
                    .co = co,
                    .is_closing = true, // the stack tells nothing of it
                    .outer = g->resumes};
  g->resumes = &self;
  g->current = co;
  int status = lua_resetthread(co);
  g->current = self.from;
  g->resumes = self.outer;
  return status;
}

static int wrapped_call(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int results = resume(L, co, lua_gettop(L));
  if (results >= 0)
    return results;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = reset(co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int co_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  gr_hook_init_coroutine(co);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int co_wrap(lua_State *L) {
  co_create(L);
  lua_pushcclosure(L, wrapped_call, 1);
  return 1;
}

static const char *kind_of(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (co == L)
    return "running";
  switch (lua_status(co)) {
  case LUA_YIELD:
    return "suspended";
  case LUA_OK:
    if (lua_getstack(co, 0, &ar))
      return "normal"; // it has resumed another
    return lua_gettop(co) == 0 ? "dead" : "suspended";
  default:
    return "dead";
  }
}

static int co_close(lua_State *L) {
  lua_State *co = check_coroutine(L);
  const char *kind = kind_of(L, co);
  if (*kind != 's' && *kind != 'd')
    return luaL_error(L, "cannot close a %s coroutine", kind);
  if (reset(co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

static const luaL_Reg functions[] = {
    {"create", co_create}, {"wrap", co_wrap}, {"resume", co_resume},
    {"close", co_close},   {NULL, NULL},
};

void gr_lib_coroutine(lua_State *L) {
  if (lua_getglobal(L, "coroutine") == LUA_TTABLE)
    luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
