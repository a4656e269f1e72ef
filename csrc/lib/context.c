// SPDX-License-Identifier: MIT
// Values that a goroutine inherits from the one that started it. They are one
// block, counted and constant, which the task has a reference of: starting a
// goroutine counts it up. It is decoded in a state when go.context first asks.
//
// What has been decoded is in a list in the registry, at the depth of calls of
// go.with_context that the goroutine is in; its slots are made on the way in,
// so that the way out needs no memory. These calls cannot be left by a yield,
// so that they are left in the reverse order in which they were entered.
#include "lib/lib.h"

static const char decoded_key;

// --- the table that is given: empty, and before what it shows ---

static int next_value(lua_State *L);

// Pushes what the table at the index shows, or returns false.
static bool push_shown(lua_State *L, int index) {
  int top = lua_gettop(L);
  if (lua_istable(L, index) && lua_getmetatable(L, index)) {
    lua_pushliteral(L, "__pairs");
    lua_rawget(L, -2);
    lua_pushliteral(L, "__index");
    lua_rawget(L, -3);
    if (lua_tocfunction(L, -2) == next_value && lua_istable(L, -1)) {
      lua_replace(L, top + 1);
      lua_settop(L, top + 1);
      return true;
    }
  }
  lua_settop(L, top);
  return false;
}

// In a metatable: context -> this function, context, nil. As the iterator:
// context, key -> next key, value.
static int next_value(lua_State *L) {
  if (lua_isnone(L, 2)) {
    lua_settop(L, 1);
    lua_pushcfunction(L, next_value);
    lua_insert(L, 1);
    lua_pushnil(L);
    return 3;
  }
  lua_settop(L, 2);
  if (!push_shown(L, 1))
    return gr_arg_type_error(L, 1, 1, "next", "context");
  lua_insert(L, 2);
  if (lua_next(L, 2))
    return 2;
  lua_pushnil(L);
  return 1;
}

static int refuse(lua_State *L) {
  return luaL_error(L, "attempt to change the values of a context");
}

// [values] -> [table]
static void wrap(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 5);
  lua_pushliteral(L, "goroutines.context");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "__metatable");
  lua_pushcfunction(L, refuse);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, next_value);
  lua_setfield(L, -2, "__pairs");
  lua_rotate(L, -3, -1); // [table, metatable, values]
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

// --- what is decoded ---

static void push_list(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &decoded_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &decoded_key);
}

// Pushes a table of its own with the values.
static void push_values(lua_State *L, const gr_task *task) {
  if (task->context)
    gr_block_push(L, task->context);
  else
    lua_newtable(L);
}

static int go_context(lua_State *L) {
  gr_arg_count(L, 0, "context");
  gr_task *task = gr_run_self();
  push_list(L);
  if (lua_rawgeti(L, 1, task->context_depth + 1) == LUA_TTABLE)
    return 1;
  push_values(L, task);
  wrap(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, 1, task->context_depth + 1);
  return 1;
}

// --- with_context ---

// The object of the scope is the block that was there before, or this.
static char nothing;

static void forget(lua_State *L, lua_Integer depth) {
  if (!lua_checkstack(L, 2)) // it stays until it is written over
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &decoded_key);
  lua_pushboolean(L, false);
  lua_rawseti(L, -2, depth + 1);
  lua_pop(L, 1);
}

static void leave(lua_State *L, gr_scope *scope, int err) {
  (void)err;
  gr_task *task = gr_run_self();
  gr_block *own = task->context;
  forget(L, task->context_depth--);
  task->context = scope->object == &nothing ? NULL : scope->object;
  scope->object = NULL;
  gr_block_release(own);
}

// Adds what is in the table at index 1 to the one on top.
static void add_values(lua_State *L) {
  int all = lua_gettop(L);
  if (!push_shown(L, 1))
    lua_pushvalue(L, 1);
  lua_pushnil(L);
  while (lua_next(L, all + 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      gr_arg_error(L, 1, "with_context",
                   lua_pushfstring(L, "keys must be strings, one is a %s",
                                   luaL_typename(L, -2)));
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, all);
  }
  lua_settop(L, all);
}

// values, f, arguments... -> what f returns
static int go_with_context(lua_State *L) {
  gr_arg_runtime(L, "with_context");
  if (!lua_istable(L, 1))
    gr_arg_type_error(L, 1, 1, "with_context", "table");
  gr_arg_function(L, 2, 2, "with_context");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  gr_task *task = gr_run_self();
  gr_scope *scope = gr_scope_open(L, leave);
  push_list(L);
  lua_pushboolean(L, false);
  lua_rawseti(L, -2, task->context_depth + 2);
  lua_pop(L, 1);
  push_values(L, task);
  add_values(L);
  gr_block *own = gr_block_encode(L, 1, GR_VALUES_SENT);
  scope->object = task->context ? (void *)task->context : &nothing;
  task->context = own;
  task->context_depth++;
  lua_call(L, lua_gettop(L) - 3, LUA_MULTRET);
  return lua_gettop(L) - 2;
}

static const luaL_Reg functions[] = {
    {"context", go_context}, {"with_context", go_with_context}, {NULL, NULL}};

void gr_lib_context(lua_State *L) {
  gr_scope_register(L);
  luaL_setfuncs(L, functions, 0);
}
