// SPDX-License-Identifier: MIT
// Functions that hold something while they call a function of the user's, and
// let it go however that ends. What they hold is in a userdata at index 2 of
// theirs, which is to be closed: so it is let go when they return, on an error,
// and by go.exit.
//
// A coroutine that fails keeps its stack, with all that is to be closed there,
// until it is closed itself, which few programs do. So what was held in it is
// looked for in its stack, and let go at once.
#include "lib/lib.h"

static const char scope_key;
enum { SCOPE_INDEX = 2 };

static gr_scope *test_scope(lua_State *L, int index) {
  gr_scope *scope = lua_touserdata(L, index);
  if (!scope || !lua_getmetatable(L, index))
    return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &scope_key);
  bool is_scope = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is_scope ? scope : NULL;
}

static int scope_close(lua_State *L) {
  gr_scope *scope = test_scope(L, 1);
  if (!scope)
    return luaL_error(L, "calling '__close' on bad self (scope expected)");
  lua_settop(L, 2);
  if (scope->object)
    scope->leave(L, scope, 2);
  return 0;
}

void gr_scope_register(lua_State *L) {
  bool is_known = lua_rawgetp(L, LUA_REGISTRYINDEX, &scope_key) == LUA_TTABLE;
  lua_pop(L, 1);
  if (is_known)
    return;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "__close");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &scope_key);
}

gr_scope *gr_scope_open(lua_State *L, gr_scope_leave leave) {
  gr_scope *scope = lua_newuserdatauv(L, sizeof *scope, 0);
  *scope = (gr_scope){.leave = leave};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &scope_key);
  lua_setmetatable(L, -2);
  lua_insert(L, SCOPE_INDEX);
  lua_toclose(L, SCOPE_INDEX);
  return scope;
}

// The scope of the C function in this frame, or NULL.
static gr_scope *scope_of(lua_State *co, lua_Debug *ar) {
  lua_getinfo(co, "S", ar);
  if (*ar->what != 'C' || !lua_getlocal(co, ar, SCOPE_INDEX))
    return NULL;
  gr_scope *scope = test_scope(co, -1);
  lua_pop(co, 1); // it stays in its frame
  return scope;
}

void gr_scope_abandon(lua_State *L, lua_State *co) {
  lua_Debug ar;
  int err = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &scope_key) == LUA_TTABLE &&
      lua_checkstack(co, 4))
    for (int level = 0; lua_getstack(co, level, &ar); level++) {
      gr_scope *scope = scope_of(co, &ar);
      if (!scope || !scope->object)
        continue;
      scope->is_abandoned = true;
      scope->leave(L, scope, err);
    }
  lua_settop(L, err);
}
