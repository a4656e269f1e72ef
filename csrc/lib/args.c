// SPDX-License-Identifier: MIT
// Arguments. Errors name the function themselves, for Lua does not know what a
// function is called that is run by pcall or found in a local variable.
#include <math.h>

#include "lib/lib.h"

int gr_arg_error(lua_State *L, int arg, const char *name, const char *why) {
  return luaL_error(L, "bad argument #%d to '%s' (%s)", arg, name, why);
}

void gr_arg_apart_error(lua_State *L, const char *name) {
  luaL_error(L, "bad call of '%s' (%s)", name,
             gr_is_child()
                 ? "this process was forked: goroutines are in its parent alone"
                 : "the Lua state is closing: its goroutines have ended");
}

static const char *type_name(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
    return lua_tostring(L, -1);
  if (lua_type(L, index) == LUA_TLIGHTUSERDATA)
    return "light userdata";
  return luaL_typename(L, index);
}

int gr_arg_type_error(lua_State *L, int index, int arg, const char *name,
                      const char *what) {
  const char *why =
      lua_pushfstring(L, "%s expected, got %s", what, type_name(L, index));
  return gr_arg_error(L, arg, name, why);
}

void gr_arg_count(lua_State *L, int max, const char *name) {
  gr_arg_runtime(L, name);
  if (lua_gettop(L) > max)
    luaL_error(L, "too many arguments to '%s'", name);
}

static lua_Number check_seconds(lua_State *L, int index, int arg,
                                const char *name) {
  if (lua_type(L, index) != LUA_TNUMBER)
    gr_arg_type_error(L, index, arg, name, "number");
  lua_Number seconds = lua_tonumber(L, index);
  if (isnan(seconds))
    gr_arg_error(L, arg, name, "a time that is not a number (NaN)");
  return seconds;
}

// Rounded up, for a wait never ends early; GR_NEVER for centuries.
static uint64_t to_ns(lua_Number seconds) {
  if (seconds <= 0)
    return 0;
  lua_Number ns = ceil(seconds * 1e9);
  return ns >= 9e18 ? GR_NEVER : (uint64_t)ns;
}

uint64_t gr_deadline_after(lua_Number seconds) {
  uint64_t ns = to_ns(seconds);
  if (ns == 0)
    return GR_POLL;
  uint64_t now_ns = gr_now_ns();
  return ns > GR_NEVER - 1 - now_ns ? GR_NEVER : now_ns + ns;
}

uint64_t gr_arg_deadline(lua_State *L, int index, int arg, const char *name) {
  if (lua_isnoneornil(L, index))
    return GR_NEVER;
  return gr_deadline_after(check_seconds(L, index, arg, name));
}

uint64_t gr_arg_period(lua_State *L, int index, int arg, const char *name) {
  lua_Number seconds = check_seconds(L, index, arg, name);
  if (seconds <= 0)
    gr_arg_error(L, arg, name, "a positive number expected");
  return to_ns(seconds);
}

lua_Integer gr_arg_integer(lua_State *L, int index, int arg, const char *name,
                           lua_Integer min, lua_Integer max) {
  int is_integer;
  lua_Integer n = lua_tointegerx(L, index, &is_integer);
  if (lua_type(L, index) != LUA_TNUMBER)
    gr_arg_type_error(L, index, arg, name, "number");
  if (!is_integer)
    gr_arg_error(L, arg, name, "number has no integer representation");
  if (n < min || n > max)
    gr_arg_error(L, arg, name,
                 lua_pushfstring(L, "%I is not from %I to %I", (LUAI_UACINT)n,
                                 (LUAI_UACINT)min, (LUAI_UACINT)max));
  return n;
}

void gr_arg_function(lua_State *L, int index, int arg, const char *name) {
  gr_arg_runtime(L, name);
  if (lua_type(L, index) != LUA_TFUNCTION)
    gr_arg_type_error(L, index, arg, name, "function");
}

int gr_arg_bad_self(lua_State *L, const gr_handle_type *type,
                    const char *name) {
  return luaL_error(L, "calling '%s' on bad self (%s expected, got %s)", name,
                    type->name,
                    lua_isnone(L, 1) ? "no value" : type_name(L, 1));
}

gr_channel *gr_receive_channel(lua_State *L, int index) {
  gr_handle *handle = gr_handle_get(L, index);
  if (!handle || !handle->object)
    return NULL;
  if (handle->type == &gr_ticker_type)
    return ((gr_ticker *)handle->object)->channel;
  if (handle->type == &gr_channel_type && handle->view != GR_VIEW_SENDER)
    return handle->object;
  return NULL;
}
