// SPDX-License-Identifier: MIT
#include "value/trial.h"

#include <lauxlib.h>

#include "value/model.h"

// Keys that a copy would look for elsewhere: those hashed by their address.
static bool is_bound_to_place(lua_State *L, int index) {
  uintptr_t at;
  switch (lua_type(L, index)) {
  case LUA_TFUNCTION:
    if (!lua_iscfunction(L, index) || lua_getupvalue(L, index, 1))
      return true;
    return false;
  case LUA_TLIGHTUSERDATA:
    at = (uintptr_t)lua_touserdata(L, index);
    return at >= GR_MODELS_AT && at <= GR_MODELS_END;
  case LUA_TTABLE:
  case LUA_TUSERDATA:
  case LUA_TTHREAD:
    return true;
  default:
    return false;
  }
}

enum { DEPTH_MAX = 150 }; // of C frames

typedef struct look {
  int seen; // stack index of a table
  int depth;
  int userdata; // so many have been seen
} look;

static void look_at(lua_State *L, look *l);

static void look_at_table(lua_State *L, look *l) {
  int table = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (is_bound_to_place(L, table + 1))
      luaL_error(L, "a key is hashed by its address");
    lua_settop(L, table + 2);
    look_at(L, l);
  }
}

// Returns true the first time. [-0, +0]
static bool is_new(lua_State *L, const look *l, int value) {
  lua_pushvalue(L, value);
  bool is = lua_rawget(L, l->seen) == LUA_TNIL;
  if (is) {
    lua_pushvalue(L, value);
    lua_pushboolean(L, 1);
    lua_rawset(L, l->seen);
  }
  lua_settop(L, value);
  return is;
}

static void look_into(lua_State *L, look *l, int value, int type) {
  if (type == LUA_TTABLE)
    look_at_table(L, l);
  if (type == LUA_TFUNCTION)
    for (int i = 1; lua_getupvalue(L, value, i); i++)
      look_at(L, l);
  if (type == LUA_TUSERDATA) {
    l->userdata++;
    for (int i = 1; lua_getiuservalue(L, value, i) != LUA_TNONE; i++)
      look_at(L, l);
  }
  lua_settop(L, value);
  if (lua_getmetatable(L, value))
    look_at(L, l);
}

// At the value on top, and all that is reached from it. [-1, +0]
static void look_at(lua_State *L, look *l) {
  int value = lua_gettop(L), type = lua_type(L, value);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (++l->depth > DEPTH_MAX)
    luaL_error(L, "values are nested too deeply");
  if (type == LUA_TTHREAD) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    if (!lua_rawequal(L, -1, value))
      luaL_error(L, "there is a coroutine");
  }
  if ((type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA) &&
      !lua_rawequal(L, value, l->seen) && is_new(L, l, value))
    look_into(L, l, value, type);
  lua_settop(L, value - 1);
  l->depth--;
}

// The metatable that all values have which are of the type of the one on top.
static void look_at_type(lua_State *L, look *l) {
  if (lua_getmetatable(L, -1))
    look_at(L, l);
  lua_pop(L, 1);
}

static const char TRIAL[] =
    "local t, n = {}, 0\n"
    "for i = 1, 200 do t[i] = tostring(i % 17) .. 'x' t['k' .. i] = i end\n"
    "for k in pairs(t) do n = n + 1 end\n"
    "assert(not pcall(error, t) and '10' + 1 == 11 and #t == 200)\n"
    "setmetatable({}, { __gc = function() n = n + 1 end })\n"
    "collectgarbage('generational') collectgarbage('incremental')\n"
    "collectgarbage() collectgarbage()\n"
    "return n";

static const char TRIAL_OF_LIBRARIES[] =
    "local t, n = {}, 0\n"
    "for i = 1, 200 do t[i] = tostring(i % 17) .. 'x' end\n"
    "table.sort(t, function(a, b) return a < b end)\n"
    "for w in string.gmatch(('ab '):rep(500), '%a+') do n = n + #w end\n"
    "local co = coroutine.wrap(function(...)\n"
    "  for i = 1, 10 do n = n + coroutine.yield(i) end return 'end' end)\n"
    "co() for i = 1, 9 do co(i) end assert(co(10) == 'end')\n"
    "assert(require('string') == string and load('return 1')() == 1)\n"
    "assert(math.type(2^53 | 0) == 'integer')\n"
    "return n";

static void run(lua_State *L, const char *text, lua_Integer expected) {
  if (luaL_loadstring(L, text) != LUA_OK)
    lua_error(L);
  lua_call(L, 0, 1);
  if (lua_tointeger(L, -1) != expected)
    luaL_error(L, "a copy does not compute as it should");
  lua_settop(L, 0);
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

int gr_trial_look(lua_State *L) {
  int top = lua_gettop(L);
  look l = {.seen = top + 1};
  lua_newtable(L);
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  look_at(L, &l);
  lua_pushliteral(L, "");
  look_at_type(L, &l);
  lua_pushinteger(L, 0);
  look_at_type(L, &l);
  lua_pushboolean(L, 0);
  look_at_type(L, &l);
  lua_pushnil(L);
  look_at_type(L, &l);
  lua_pushcfunction(L, nothing);
  look_at_type(L, &l);
  lua_pushlightuserdata(L, NULL);
  look_at_type(L, &l);
  lua_settop(L, top);
  return l.userdata;
}

void gr_trial_run(lua_State *L) {
  run(L, TRIAL, 400 + 1);
  if (lua_getglobal(L, "table") == LUA_TTABLE)
    run(L, TRIAL_OF_LIBRARIES, 1000 + 55);
  lua_settop(L, 0);
}
