// SPDX-License-Identifier: MIT
// Modules that every state has go by name: the standard libraries and this one.
#include <lauxlib.h>

#include "value/block.h"

static const char names_key;

static const char *const common[] = {
    "coroutine", "debug",   "goroutines", "io",    "math",
    "os",        "package", "string",     "table", "utf8",
};

// Pushes the table from module to name, made at the first use.
static void push_names(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
    lua_pushstring(L, common[i]);
    if (lua_getfield(L, -2, common[i]) == LUA_TTABLE) {
      lua_insert(L, -2);
      lua_rawset(L, -4);
    } else {
      lua_pop(L, 2);
    }
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
}

bool gr_module_find(lua_State *L, int index) {
  lua_pushvalue(L, index);
  push_names(L);
  lua_insert(L, -2);
  bool found = lua_rawget(L, -2) == LUA_TSTRING;
  lua_remove(L, -2);
  if (!found)
    lua_pop(L, 1);
  return found;
}

void gr_module_push(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  bool loaded = lua_getfield(L, -1, name) != LUA_TNIL;
  lua_remove(L, -2);
  if (loaded)
    return;
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}
