// SPDX-License-Identifier: MIT
// Where in the values something is that cannot be sent, in words.
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "value/encoder.h"

typedef struct text {
  char bytes[400];
} text;

static void add(text *t, const char *more) {
  strncat(t->bytes, more, sizeof t->bytes - strlen(t->bytes) - 1);
}

static bool is_name(const char *s) {
  if (!*s || (*s >= '0' && *s <= '9') || strlen(s) > 60)
    return false;
  for (; *s; s++)
    if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
          (*s >= 'A' && *s <= 'Z')))
      return false;
  return true;
}

static void add_key(lua_State *L, text *t, int index) {
  char number[40];
  switch (lua_type(L, index)) {
  case LUA_TSTRING: {
    const char *name = lua_tostring(L, index);
    if (is_name(name)) {
      add(t, ".");
      add(t, name);
    } else {
      add(t, "[\"");
      strncat(t->bytes, name, 60);
      add(t, "\"]");
    }
    break;
  }
  case LUA_TNUMBER:
    if (lua_isinteger(L, index))
      snprintf(number, sizeof number, "[" LUA_INTEGER_FMT "]",
               lua_tointeger(L, index));
    else
      snprintf(number, sizeof number, "[" LUA_NUMBER_FMT "]",
               lua_tonumber(L, index));
    add(t, number);
    break;
  case LUA_TBOOLEAN:
    add(t, lua_toboolean(L, index) ? "[true]" : "[false]");
    break;
  default:
    add(t, "[");
    add(t, luaL_typename(L, index));
    add(t, "]");
  }
}

static void add_root(gr_encoder *e, text *t, int index) {
  char number[40] = "";
  const char *name = "value";
  if (e->what == GR_VALUES_CALL)
    name = index == 0 ? "the function" : "argument";
  else if (e->what == GR_VALUES_RESULT)
    name = "result", index++;
  else if (e->what == GR_VALUES_ERROR)
    name = "the error";
  if (index > 0)
    snprintf(number, sizeof number, " #%d", index);
  add(t, name);
  add(t, number);
}

static void add_upvalue(lua_State *L, text *t, const gr_path *p) {
  lua_Debug ar;
  char where[LUA_IDSIZE + 40];
  const char *name = lua_getupvalue(L, p->index, p->upvalue);
  if (name)
    lua_pop(L, 1);
  lua_pushvalue(L, p->index);
  lua_getinfo(L, ">S", &ar);
  snprintf(where, sizeof where, "' of function <%s:%d>", ar.short_src,
           ar.linedefined);
  t->bytes[0] = '\0';
  add(t, "upvalue '");
  add(t, name && *name ? name : "?");
  add(t, where);
}

static void add_path(gr_encoder *e, text *t, const gr_path *p) {
  if (p->outer)
    add_path(e, t, p->outer);
  switch (p->at) {
  case GR_AT_ROOT:
    add_root(e, t, p->index);
    break;
  case GR_AT_KEY:
    add_key(e->L, t, p->index);
    break;
  case GR_AT_KEY_ITSELF:
    add(t, ", in a key");
    break;
  case GR_AT_METATABLE:
    add(t, ", in its metatable");
    break;
  case GR_AT_UPVALUE:
    add_upvalue(e->L, t, p);
    break;
  case GR_AT_LATER:
    add(t, "(nested deeply)");
    break;
  case GR_AT_GLOBAL:
    add(t, "global '");
    add(t, lua_tostring(e->L, p->index));
    add(t, "'");
    break;
  case GR_AT_ADDED:
    add(t, "'");
    add(t, lua_tostring(e->L, p->index));
    add(t, "' of a library");
    break;
  case GR_AT_PRELOAD:
    add(t, "the loader of module '");
    add(t, lua_tostring(e->L, p->index));
    add(t, "'");
    break;
  case GR_AT_TRANSFER:
    add(t, ", in what its __transfer gave");
    break;
  }
}

int gr_encoder_refuse(gr_encoder *e, const char *what, const gr_path *p) {
  text t = {""};
  add_path(e, &t, p);
  return luaL_error(e->L, "cannot send %s (at %s)", what, t.bytes);
}

int gr_encoder_no_memory(gr_encoder *e) {
  return luaL_error(e->L, "not enough memory");
}
