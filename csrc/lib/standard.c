// SPDX-License-Identifier: MIT
// What is replaced in the standard libraries of every state:
//   print        writes a line at once, so that lines of goroutines do not mix
//   os.exit      once a process, however many call it
//   require      off the thread of a main: what it loads may be C code, which
//                may block
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/lib.h"
#include "value/module.h"

static int base_print(lua_State *L) {
  int count = lua_gettop(L);
  luaL_Buffer b;
  for (int i = 1; i <= count; i++) { // __tostring may do anything: first
    luaL_tolstring(L, i, NULL);
    lua_replace(L, i);
  }
  luaL_buffinit(L, &b);
  for (int i = 1; i <= count; i++) {
    if (i > 1)
      luaL_addchar(&b, '\t');
    lua_pushvalue(L, i);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '\n');
  luaL_pushresult(&b);
  size_t len;
  const char *line = lua_tolstring(L, -1, &len);
  gr_mark_blocking(true);
  fwrite(line, 1, len, stdout);
  fflush(stdout);
  gr_mark_blocking(false);
  return 0;
}

static atomic_bool exiting;

static int os_exit(lua_State *L) {
  int status = EXIT_SUCCESS;
  if (lua_isboolean(L, 1))
    status = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  else
    status = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  if (lua_toboolean(L, 2))
    lua_close(L);
  if (!atomic_exchange(&exiting, true) || gr_is_child())
    exit(status);
  for (;;) // another one ends the process
    pause();
}

static int base_require(lua_State *L) {
  gr_goroutine *g = gr_self();
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  if (lua_toboolean(L, -1))
    return 1;
  lua_settop(L, 1);
  bool was_foreign = atomic_load(&g->foreign);
  gr_enter();
  gr_leave_main_thread();
  gr_leave();
  atomic_store(&g->foreign, true);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 2);
  if (!was_foreign && !g->has_c_modules) // loading.c has seen what it is
    atomic_store(&g->foreign, false);
  gr_modules_update(L);
  return 2;
}

static void replace(lua_State *L, const char *library, const char *name,
                    lua_CFunction function, bool needs_stock) {
  if (lua_getglobal(L, library) != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  if (!needs_stock) {
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
  } else if (lua_getfield(L, -1, name) == LUA_TFUNCTION &&
             lua_tocfunction(L, -1) != function) {
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void gr_lib_print(lua_State *L) {
  lua_pushcfunction(L, base_print);
  lua_setglobal(L, "print");
}

void gr_lib_standard(lua_State *L) {
  replace(L, "os", "exit", os_exit, false);
  replace(L, "_G", "require", base_require, true);
}
