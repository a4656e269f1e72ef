// SPDX-License-Identifier: MIT
// Atomic integers. Nothing here waits, so the runtime is not entered.
#include "lib/lib.h"
#include "sync/atomic.h"

static void open_type(lua_State *L);

const gr_handle_type gr_atomic_type = {"goroutines.atomic", gr_object_retain,
                                       gr_object_release, open_type};

// The integer at the index, which is argument `index - shift`.
static uint64_t check_value(lua_State *L, int index, int shift,
                            const char *name) {
  int is_integer;
  lua_Integer value = lua_tointegerx(L, index, &is_integer);
  if (GR_UNLIKELY(!is_integer || lua_type(L, index) != LUA_TNUMBER))
    gr_arg_integer(L, index, index - shift, name, LUA_MININTEGER,
                   LUA_MAXINTEGER); // raises
  return (uint64_t)value;
}

static int atomic_new(lua_State *L) {
  gr_arg_count(L, 1, "atomic");
  uint64_t value = lua_isnoneornil(L, 1) ? 0 : check_value(L, 1, 0, "atomic");
  gr_handle *handle = gr_handle_new(L, &gr_atomic_type);
  gr_atomic *a = gr_object_new(sizeof *a, NULL);
  if (a)
    atomic_init(&a->value, value);
  return gr_sync_set(L, handle, a);
}

static int push(lua_State *L, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  return 1;
}

static int atomic_get(lua_State *L) {
  gr_atomic *a = gr_arg_self(L, &gr_atomic_type, "load");
  return push(L, atomic_load(&a->value));
}

static int atomic_set(lua_State *L) {
  gr_atomic *a = gr_arg_self(L, &gr_atomic_type, "store");
  gr_arg_count(L, 2, "store");
  atomic_store(&a->value, check_value(L, 2, 1, "store"));
  return 0;
}

static int atomic_add(lua_State *L) {
  gr_atomic *a = gr_arg_self(L, &gr_atomic_type, "add");
  gr_arg_count(L, 2, "add");
  uint64_t change = check_value(L, 2, 1, "add");
  return push(L, atomic_fetch_add(&a->value, change) + change);
}

static int atomic_swap(lua_State *L) {
  gr_atomic *a = gr_arg_self(L, &gr_atomic_type, "swap");
  gr_arg_count(L, 2, "swap");
  return push(L, atomic_exchange(&a->value, check_value(L, 2, 1, "swap")));
}

static int atomic_compare_and_swap(lua_State *L) {
  static const char *const name = "compare_and_swap";
  gr_atomic *a = gr_arg_self(L, &gr_atomic_type, name);
  gr_arg_count(L, 3, name);
  uint64_t before = check_value(L, 2, 1, name);
  uint64_t after = check_value(L, 3, 1, name);
  lua_pushboolean(L, atomic_compare_exchange_strong(&a->value, &before, after));
  return 1;
}

static const luaL_Reg methods[] = {
    {"load", atomic_get},
    {"store", atomic_set},
    {"add", atomic_add},
    {"swap", atomic_swap},
    {"compare_and_swap", atomic_compare_and_swap},
    {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_atomic_type, methods, NULL);
}

void gr_lib_atomic(lua_State *L) {
  lua_pushcfunction(L, atomic_new);
  lua_setfield(L, -2, "atomic");
}
