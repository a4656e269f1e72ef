// SPDX-License-Identifier: MIT
// Where modules are looked for: what a call brings along of that, if it is not
// as in a new state.
#include <lauxlib.h>
#include <string.h>

#include "value/encoder.h"
#include "value/memo.h"

// The values of package that matter, on the stack.
enum { PATH, CPATH, SEARCHER };
_Static_assert((int)SEARCHER + GR_SEARCHERS == (int)GR_MEMO_USUAL,
               "all are remembered");

// Pushes them; false if there are more searchers or less. `package` is on top.
static bool push_settings(lua_State *L) {
  int package = lua_gettop(L);
  lua_pushliteral(L, "path");
  lua_rawget(L, package);
  lua_pushliteral(L, "cpath");
  lua_rawget(L, package);
  lua_pushliteral(L, "searchers");
  if (lua_rawget(L, package) != LUA_TTABLE || lua_rawlen(L, -1) != GR_SEARCHERS)
    return false;
  int searchers = lua_gettop(L);
  for (int i = 1; i <= GR_SEARCHERS; i++)
    lua_rawgeti(L, searchers, i);
  lua_remove(L, searchers);
  return true;
}

// The path on the stack. True if it is the usual one.
static bool put_path(gr_encoder *e, int value, const char *field, bool is_c) {
  lua_State *L = e->L;
  const char *usual = gr_module_default_path(is_c);
  if (lua_type(L, value) != LUA_TSTRING || !usual)
    return false;
  if (!strcmp(usual, lua_tostring(L, value)))
    return true;
  lua_pushstring(L, field);
  gr_capture_put_one(e, GR_CAPTURE_PATH, lua_gettop(L), value);
  lua_pop(L, 1);
  return false;
}

// True if the searchers on the stack are those that every state has.
static bool are_stock(lua_State *L, int searchers) {
  bool are = true;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, GR_SEARCHERS_KEY);
  int stock = lua_gettop(L);
  for (int i = 0; are && i < GR_SEARCHERS; i++) {
    lua_rawgeti(L, stock, i + 1);
    are = lua_rawequal(L, -1, searchers + i);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return are;
}

// package.searchers, with numbers for those that every state has.
static void put_searchers(gr_encoder *e, int package) {
  lua_State *L = e->L;
  int stock = lua_gettop(L) + 1, searchers = stock + 1;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, GR_SEARCHERS_KEY);
  lua_pushliteral(L, "searchers");
  if (lua_rawget(L, package) == LUA_TTABLE) {
    int count = (int)lua_rawlen(L, searchers);
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
      lua_rawgeti(L, searchers, i);
      int number = gr_module_find_searcher(L, stock);
      if (number)
        lua_pushinteger(L, number);
      lua_rawseti(L, searchers + 1, i);
      lua_settop(L, searchers + 1);
    }
    lua_pushvalue(L, -1);
    gr_encoder_anchor(e);
    lua_pushliteral(L, "searchers");
    gr_capture_put_one(e, GR_CAPTURE_SEARCHERS, searchers + 2, searchers + 1);
  }
  lua_settop(L, stock - 1);
}

// What is in `package`, on top.
static void put_settings(gr_encoder *e) {
  lua_State *L = e->L;
  int package = lua_gettop(L), values = package + 1;
  bool has_stock = push_settings(L) && are_stock(L, values + SEARCHER);
  bool has_path = put_path(e, values + PATH, "path", false);
  bool has_cpath = put_path(e, values + CPATH, "cpath", true);
  if (!has_stock)
    put_searchers(e, package);
  if (has_stock && has_path && has_cpath)
    gr_memo_note_usual(L, values);
}

void gr_capture_put_settings(gr_encoder *e) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  if (gr_memo_is_usual(L))
    return;
  luaL_checkstack(L, LUA_MINSTACK + GR_SLOTS, NULL);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "package");
  if (lua_istable(L, -1))
    put_settings(e);
  lua_settop(L, top);
}
