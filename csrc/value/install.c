// SPDX-License-Identifier: MIT
// Putting what came along with a call where it belongs in the receiver's state.
#include <lauxlib.h>
#include <string.h>

#include "value/block.h"
#include "value/module.h"

// [reasons by name, the __index before] _ENV, name -> error
static int read_absent(lua_State *L) {
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TSTRING)
    return luaL_error(L, "global '%s' is not here: %s", lua_tostring(L, 2),
                      lua_tostring(L, -1));
  lua_settop(L, 2);
  if (lua_isnil(L, lua_upvalueindex(2)))
    return 0;
  if (lua_isfunction(L, lua_upvalueindex(2))) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
  } else {
    lua_gettable(L, lua_upvalueindex(2));
  }
  return 1;
}

// name, reason: reading the global raises it.
static void set_absent(lua_State *L, int name) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  if (!lua_getmetatable(L, -1)) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -3);
  }
  lua_getfield(L, -1, "__index");
  if (lua_tocfunction(L, -1) == read_absent) {
    lua_getupvalue(L, -1, 1);
  } else {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, read_absent, 2);
    lua_setfield(L, -4, "__index");
  }
  lua_pushvalue(L, name);
  lua_pushvalue(L, name + 1);
  lua_rawset(L, -3);
}

// In the table on top, unless it has the key.
static void set_if_nil(lua_State *L, int key, int value) {
  lua_pushvalue(L, key);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushvalue(L, key);
    lua_pushvalue(L, value);
    lua_rawset(L, -4);
  }
}

static void set_member(lua_State *L, int name) {
  size_t len;
  const char *module = lua_tolstring(L, name, &len);
  size_t module_len = strlen(module);
  if (module_len == len)
    luaL_error(L, "damaged message");
  gr_module_push(L, module, module_len);
  lua_pushlstring(L, module + module_len + 1, len - module_len - 1);
  if (!lua_istable(L, -2))
    return;
  lua_insert(L, -2);
  if (gr_module_is_standard(module, lua_tostring(L, -2))) {
    lua_pushvalue(L, -2); // the program's own version of it
    lua_pushvalue(L, name + 1);
    lua_rawset(L, -3);
  } else {
    set_if_nil(L, lua_gettop(L) - 1, name + 1);
  }
}

// In place: the list that `require` knows is a table in its upvalue.
static void set_searchers(lua_State *L, int list) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, GR_SEARCHERS_KEY);
  if (!lua_istable(L, list) ||
      lua_getfield(L, top + 1, "package") != LUA_TTABLE ||
      lua_getfield(L, -1, "searchers") != LUA_TTABLE)
    return;
  lua_Integer count = (lua_Integer)lua_rawlen(L, list),
              before = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = 1; i <= count || i <= before; i++) {
    if (lua_rawgeti(L, list, i) == LUA_TNUMBER)
      lua_rawgeti(L, top + 2, lua_tointeger(L, -1));
    lua_rawseti(L, top + 4, i);
    lua_settop(L, top + 4);
  }
}

void gr_capture_install(lua_State *L, unsigned kind, int name) {
  switch (kind) {
  case GR_CAPTURE_GLOBAL:
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushvalue(L, name);
    lua_pushvalue(L, name + 1);
    lua_rawset(L, -3);
    break;
  case GR_CAPTURE_ABSENT:
    set_absent(L, name);
    break;
  case GR_CAPTURE_MEMBER:
    set_member(L, name);
    break;
  case GR_CAPTURE_LOADED: // its decoding has done it
    break;
  case GR_CAPTURE_PRELOAD:
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    set_if_nil(L, name, name + 1);
    break;
  case GR_CAPTURE_SEARCHERS:
    set_searchers(L, name + 1);
    break;
  case GR_CAPTURE_PATH:
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "package") == LUA_TTABLE) {
      lua_pushvalue(L, name);
      lua_pushvalue(L, name + 1);
      lua_rawset(L, -3);
    }
    break;
  default:
    luaL_error(L, "damaged message");
  }
}
