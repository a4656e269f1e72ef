// SPDX-License-Identifier: MIT
// What each Lua state gets: the module's table, its metatables, and the
// replacements in the standard libraries. In a goroutine's state all is made
// before its function; in main's state by `require`.
#include <lualib.h>

#include "lib/lib.h"
#include "sched/runtime.h"
#include "value/module.h"

static const char module_key, sentinel_key;

// The first object of a goroutine's state, so that its finalizer is the last:
// from then on the coroutine pointer would be stale, and nothing is armed.
static int end_of_goroutine(lua_State *L) {
  (void)L;
  gr_goroutine *g = gr_self();
  if (g)
    g->current = NULL;
  return 0;
}

// Main's state is being closed, which unloads C modules next: not under the
// feet of a thread that is stuck in one.
static int end_of_main(lua_State *L) {
  if (gr_runtime_stop())
    return 0;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
    lua_pushnil(L); // the metatable with the finalizer that unloads
    lua_setmetatable(L, -2);
  }
  return 0;
}

static void add_sentinel(lua_State *L, lua_CFunction finalizer) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, finalizer);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinel_key);
}

// Stock seeding repeats in memory that is used again.
static void seed_random(lua_State *L) {
  static _Atomic(uint64_t) counter;
  gr_random random;
  gr_random_init(&random, gr_now_ns() ^ (atomic_fetch_add(&counter, 1) << 40));
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)gr_random_next(&random));
  lua_pushinteger(L, (lua_Integer)gr_random_next(&random));
  lua_call(L, 2, 0);
  lua_pop(L, 1);
}

// go(f, ...) is go.go(f, ...) without the table.
static void make_callable(lua_State *L) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, gr_lib_index);
  lua_setfield(L, -2, "__index");
  lua_getfield(L, -2, "__go");
  lua_setfield(L, -2, "__call");
  lua_pushliteral(L, "goroutines");
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, -2);
  lua_pushnil(L);
  lua_setfield(L, -2, "__go");
}

static void make_module(lua_State *L) {
  lua_createtable(L, 0, 32);
  gr_lib_goroutine(L);
  gr_lib_time(L);
  gr_lib_channel(L);
  gr_lib_select(L);
  gr_lib_config(L);
  make_callable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
}

void gr_state_push_module(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key);
}

void gr_state_open(lua_State *L, bool is_main) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  add_sentinel(L, is_main ? end_of_main : end_of_goroutine);
  if (!is_main) {
    luaL_openlibs(L);
    seed_random(L);
  }
  gr_lib_coroutine(L);
  gr_lib_hook(L);
  gr_lib_standard(L);
  gr_lib_blocking(L);
  gr_lib_loading(L);
  make_module(L);
  if (is_main) {
    gr_lib_open_parts(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "goroutines.core");
    gr_modules_push(L); // before the program adds to its modules
    lua_pop(L, 2);
  } else {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "goroutines");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "goroutines.core");
    lua_settop(L, 0);
    if (atomic_load(&gr_the_sched.preempt_mode) == GR_PREEMPT_COUNT)
      gr_hook_count_always(L);
  }
}
