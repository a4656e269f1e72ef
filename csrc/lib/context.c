// SPDX-License-Identifier: MIT
// The context of a goroutine: values that what it starts inherits. It is one
// constant block, which is shared; a state decodes it when it is first asked
// for, and keeps what it has got behind a userdata, so that nobody changes it.
#include "lib/lib.h"

#define CONTEXT "goroutines.context"

static const char decoded_key; // of the userdata; or false: not decoded

static void forget_decoded(lua_State *L) {
  lua_pushboolean(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &decoded_key);
}

// --- reading ---

// Pushes a new table of the values of the running goroutine.
static void push_values(lua_State *L) {
  gr_block *context = gr_run_self()->context;
  if (context)
    gr_block_push(L, context);
  else
    lua_newtable(L);
}

static void push_context(lua_State *L) {
  lua_newuserdatauv(L, 0, 1);
  push_values(L);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, CONTEXT);
}

static int go_context(lua_State *L) {
  gr_arg_count(L, 0, "context");
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &decoded_key) == LUA_TUSERDATA)
    return 1;
  push_context(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &decoded_key);
  return 1;
}

static int context_index(lua_State *L) {
  luaL_checkudata(L, 1, CONTEXT);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  lua_rawget(L, 2);
  return 1;
}

static int context_newindex(lua_State *L) {
  luaL_checkudata(L, 1, CONTEXT);
  return luaL_error(L, "a context is read-only: go.with_context makes another");
}

// context, key -> the next key and its value
static int next_value(lua_State *L) {
  luaL_checkudata(L, 1, CONTEXT);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  return lua_next(L, 2) ? 2 : 0;
}

static int context_pairs(lua_State *L) {
  luaL_checkudata(L, 1, CONTEXT);
  lua_settop(L, 1);
  lua_pushcfunction(L, next_value);
  lua_insert(L, 1);
  lua_pushnil(L);
  return 3;
}

// --- go.with_context ---

// What a scope holds where there was no context before.
static char none;

// Raises unless the key and value on top may be in a context.
static void check_value(lua_State *L) {
  if (lua_type(L, -2) != LUA_TSTRING)
    gr_arg_error(L, 1, "with_context",
                 lua_pushfstring(L, "string expected as key, got %s",
                                 luaL_typename(L, -2)));
  int type = lua_type(L, -1);
  if (type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN ||
      gr_handle_get(L, -1))
    return;
  gr_arg_error(L, 1, "with_context",
               lua_pushfstring(L,
                               "value '%s': string, number, boolean or handle "
                               "expected, got %s",
                               lua_tostring(L, -2), luaL_typename(L, -1)));
}

// The values now and those of the table at index 1, encoded.
static gr_block *encode_more(lua_State *L) {
  push_values(L);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    check_value(L);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  return gr_block_encode(L, 1, GR_VALUES_SENT);
}

static void leave_context(lua_State *L, gr_scope *scope, int err) {
  (void)err;
  gr_task *task = gr_run_self();
  gr_block_release(task->context);
  task->context = scope->object == &none ? NULL : scope->object;
  scope->object = NULL;
  forget_decoded(L); // its key is there: this needs no memory
}

// values, f, arguments... -> what f returns
static int go_with_context(lua_State *L) {
  gr_task *task = gr_run_self();
  if (!lua_istable(L, 1))
    gr_arg_type_error(L, 1, 1, "with_context", "table");
  gr_arg_function(L, 2, 2, "with_context");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  gr_scope *scope = gr_scope_open(L, leave_context);
  forget_decoded(L);
  gr_block *context = encode_more(L);
  scope->object = task->context ? (void *)task->context : &none;
  task->context = context;
  lua_call(L, lua_gettop(L) - 3, LUA_MULTRET);
  return lua_gettop(L) - 2;
}

// --- registration ---

static const luaL_Reg meta[] = {{"__index", context_index},
                                {"__newindex", context_newindex},
                                {"__pairs", context_pairs},
                                {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"context", go_context}, {"with_context", go_with_context}, {NULL, NULL}};

void gr_lib_context(lua_State *L) {
  gr_scope_register(L);
  if (luaL_newmetatable(L, CONTEXT)) {
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
