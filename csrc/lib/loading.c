// SPDX-License-Identifier: MIT
// C modules are loaded one at a time: their luaopen functions may set up what
// all states share, and few expect to run twice at once. The lock parks;
// whoever has it may load further modules; it is held over dlopen and luaopen_
// alone.
//
// They are never unloaded: a message that has one of their functions may
// outlive the state that loaded them.
//
// The lock is a channel that has room for one message, its holder's.
#include <dlfcn.h>

#include "lib/lib.h"
#include "sched/pin.h"
#include "value/module.h"

static gr_channel *lock;
static _Atomic(gr_goroutine *) holder; // stored by the holder alone

void gr_loading_become_foreign(void) {
  gr_goroutine *g = gr_self();
  if (!g || g->is_main || g->has_c_modules || gr_is_child())
    return;
  g->has_c_modules = true;
  atomic_store(&g->foreign, true);
  gr_enter();
  gr_leave_main_thread();
  gr_leave();
}

static void note_c_function(lua_CFunction function) {
  if (gr_pin_is_foreign(function))
    gr_loading_become_foreign();
}

// Calls the stock function, the upvalue.
static int package_loadlib(lua_State *L) {
  gr_loading_become_foreign();
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

bool gr_loading_init(void) {
  gr_message_on_c_function = note_c_function;
  lock = gr_channel_new(1);
  return lock != NULL;
}

static void acquire(lua_State *L) {
  gr_status status;
  gr_family *family = gr_family_self();
  do {
    gr_message m = {.kind = GR_MESSAGE_TRUE};
    gr_enter();
    atomic_fetch_add(&family->sources, 1); // another family's may have it
    status = gr_channel_send(lock, &m, GR_NEVER);
    atomic_fetch_sub(&family->sources, 1);
    gr_leave();
  } while (status != GR_OK && gr_wait_again(L, status));
  atomic_store(&holder, gr_self());
}

static void release(void) {
  gr_message m;
  atomic_store(&holder, NULL);
  gr_enter();
  gr_channel_recv(lock, &m, GR_POLL);
  gr_leave();
}

void gr_loading_abandon(void) {
  if (atomic_load(&holder) == gr_self())
    release();
}

// Calls the function, the upvalue, under the lock.
static int call_locked(lua_State *L) {
  bool has_it = gr_is_child() || atomic_load(&holder) == gr_self();
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  if (!has_it)
    acquire(L);
  int failed = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (!has_it)
    release();
  return failed ? lua_error(L) : lua_gettop(L);
}

// A searcher for C modules: what it finds is called under the lock, too.
static int search(lua_State *L) {
  int count = call_locked(L);
  if (count > 0 && lua_isfunction(L, 1)) {
    gr_loading_become_foreign();         // which opening it already calls for
    if (count > 1 && lua_isstring(L, 2)) // messages may have its functions
      dlopen(lua_tostring(L, 2), RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, call_locked, 1);
    lua_replace(L, 1);
  }
  return count;
}

void gr_lib_loading(lua_State *L) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, GR_SEARCHERS_KEY);
  bool found = lua_getfield(L, top + 1, "package") == LUA_TTABLE &&
               lua_getfield(L, -1, "searchers") == LUA_TTABLE;
  int count = found ? (int)lua_rawlen(L, -1) : 0, searchers = lua_gettop(L);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, searchers, i);
    int stock = gr_module_searcher(L, -1);
    if (stock == GR_SEARCHER_C || stock == GR_SEARCHER_C_ROOT) {
      lua_pushcclosure(L, search, 1);
      lua_pushvalue(L, -1);
      lua_rawseti(L, searchers, i);
    }
    if (stock)
      lua_rawseti(L, top + 2, stock);
    lua_settop(L, searchers);
  }
  lua_settop(L, top + 1);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE &&
      lua_getfield(L, -1, "loadlib") == LUA_TFUNCTION &&
      lua_tocfunction(L, -1) != package_loadlib) {
    lua_pushcclosure(L, package_loadlib, 1);
    lua_setfield(L, -2, "loadlib");
  }
  lua_settop(L, top);
}
