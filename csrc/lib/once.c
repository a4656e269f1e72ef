// SPDX-License-Identifier: MIT
// Things done once. The function runs in the state of who comes first, between
// a begin and an end; a to-be-closed guard sees to the end when it raises or
// leaves its goroutine.
#include "lib/lib.h"
#include "sync/once.h"

static void open_type(lua_State *L);

const gr_handle_type gr_once_type = {"goroutines.once", gr_object_retain,
                                     gr_object_release, open_type};

#define RUN "goroutines.once.run"

typedef struct running {
  gr_once *once; // NULL: it has ended
} running;

static int once_new(lua_State *L) {
  gr_arg_count(L, 0, "once");
  return gr_sync_push(L, &gr_once_type, gr_once_new());
}

// --- ending ---

static void end(running *r, gr_block *outcome, bool failed) {
  gr_once *once = r->once;
  r->once = NULL;
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

// guard, error: the function has not returned.
static int running_close(lua_State *L) {
  running *r = luaL_testudata(L, 1, RUN);
  if (!r)
    return luaL_error(L, "calling '__close' on bad self (%s expected)", RUN);
  if (!r->once)
    return 0;
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "the function given to 'run' of a once did not return");
    lua_replace(L, 2);
  }
  gr_block *outcome = NULL;
  if (!try_encode(L, encode_error, 2, &outcome))
    try_encode(L, encode_text, 2, &outcome);
  end(r, outcome, true);
  return 0;
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
  if (gr_once_has_ended(once))
    return push_outcome(L, once);
  running *r = lua_newuserdatauv(L, sizeof *r, 0);
  r->once = NULL;
  luaL_setmetatable(L, RUN);
  lua_insert(L, 2);
  lua_toclose(L, 2);
  if (begin(L, once) == GR_OK) {
    r->once = once;
    lua_call(L, lua_gettop(L) - 3, LUA_MULTRET);
    int count = lua_gettop(L) - 2;
    end(r, gr_block_encode(L, count, GR_VALUES_RESULT), false);
  }
  return push_outcome(L, once);
}

static const luaL_Reg methods[] = {{"run", once_run}, {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_once_type, methods, NULL);
  luaL_newmetatable(L, RUN);
  lua_pushcfunction(L, running_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
}

void gr_lib_once(lua_State *L) {
  lua_pushcfunction(L, once_new);
  lua_setfield(L, -2, "once");
}
