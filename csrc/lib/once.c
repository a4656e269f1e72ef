// SPDX-License-Identifier: MIT
// Things done once. The function runs in the state of who comes first, between
// a begin and an end; a scope sees to the end when it raises or
// leaves its goroutine.
#include "lib/lib.h"
#include "sync/once.h"

static void open_type(lua_State *L);

const gr_handle_type gr_once_type = {"goroutines.once", gr_object_retain,
                                     gr_object_release, open_type};

static int once_new(lua_State *L) {
  gr_arg_count(L, 0, "once");
  gr_handle *handle = gr_handle_new(L, &gr_once_type);
  return gr_sync_set(L, handle, gr_once_new());
}

// --- ending ---

static void end(gr_scope *scope, gr_block *outcome, bool failed) {
  gr_once *once = scope->object;
  scope->object = NULL;
  gr_enter();
  gr_once_end(once, outcome, failed);
  gr_leave();
}

// error -> nothing; *out is the error as a block, or a text in its place if it
// cannot be sent.
static int encode_error(lua_State *L) {
  gr_block **out = lua_touserdata(L, 2);
  lua_settop(L, 1);
  *out = gr_block_encode(L, 1, GR_VALUES_ERROR);
  return 0;
}

static int encode_text(lua_State *L) {
  gr_block **out = lua_touserdata(L, 2);
  luaL_tolstring(L, 1, NULL);
  *out = gr_block_encode(L, 1, GR_VALUES_ERROR);
  return 0;
}

static bool try_encode(lua_State *L, lua_CFunction encode, int index,
                       gr_block **out) {
  lua_pushcfunction(L, encode);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, out);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK)
    return true;
  lua_pop(L, 1);
  return false;
}

// The function has not returned.
static void leave_run(lua_State *L, gr_scope *scope, int err) {
  gr_block *outcome = NULL;
  if (lua_isnil(L, err)) {
    lua_pushliteral(L, "the function given to 'run' of a once did not return");
    err = lua_gettop(L);
  }
  if (!try_encode(L, encode_error, err, &outcome))
    try_encode(L, encode_text, err, &outcome);
  end(scope, outcome, true);
}

// --- running ---

static int push_outcome(lua_State *L, gr_once *once) {
  bool failed = atomic_load(&once->state) == GR_ONCE_FAILED;
  if (!once->outcome)
    return luaL_error(L, "not enough memory");
  int count = gr_block_push(L, once->outcome);
  return failed ? lua_error(L) : count;
}

// GR_OK: it is to be run here.
static gr_status begin(lua_State *L, gr_once *once) {
  gr_status status;
  do {
    gr_enter();
    status = gr_once_begin(once);
    gr_leave();
  } while (gr_wait_again(L, status));
  if (status == GR_RECURSIVE)
    luaL_error(L, "bad call of 'run' (it is called by the function that is "
                  "being run)");
  return status;
}

// once, f, arguments... -> copies of what f returns
static int once_run(lua_State *L) {
  gr_once *once = gr_arg_self(L, &gr_once_type, "run");
  gr_arg_function(L, 2, 1, "run");
  gr_wait_point(L);
  if (gr_once_has_ended(once))
    return push_outcome(L, once);
  gr_scope *scope = gr_scope_open(L, leave_run);
  if (begin(L, once) == GR_OK) {
    scope->object = once;
    lua_call(L, lua_gettop(L) - 3, LUA_MULTRET);
    int count = lua_gettop(L) - 2;
    end(scope, gr_block_encode(L, count, GR_VALUES_RESULT), false);
  }
  return push_outcome(L, once);
}

static const luaL_Reg methods[] = {{"run", once_run}, {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_once_type, methods, NULL);
  gr_scope_register(L);
}

void gr_lib_once(lua_State *L) {
  lua_pushcfunction(L, once_new);
  lua_setfield(L, -2, "once");
}
