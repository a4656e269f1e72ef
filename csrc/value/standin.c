// SPDX-License-Identifier: MIT
// What is written in place of an object: a reference, the name of a module, or
// how to rebuild it.
#include <lauxlib.h>
#include <string.h>

#include "value/encoder.h"

// The module, a table, is to be looked at for what the program has added to it.
// The standard libraries are in any case.
static void touch(gr_encoder *e, int index, const char *name) {
  lua_State *L = e->L;
  int touched = e->slots + GR_SLOT_TOUCHED;
  if (!e->is_capturing || !lua_istable(L, index) ||
      gr_module_is_extensible(name))
    return;
  gr_encoder_need_slot(e, GR_SLOT_TOUCHED);
  lua_pushvalue(L, index);
  bool is_new = lua_rawget(L, touched) == LUA_TNIL;
  lua_pop(L, 1);
  if (!is_new)
    return;
  lua_pushvalue(L, index);
  lua_pushboolean(L, true);
  lua_rawset(L, touched);
  lua_pushvalue(L, index);
  lua_rawseti(L, touched, (lua_Integer)lua_rawlen(L, touched) + 1);
}

// The name on top is that of a module that the receiver may have to load by a
// function that the program has put into package.preload.
static void put_preload(gr_encoder *e, int depth) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  lua_pushstring(L, lua_tostring(L, top)); // up to the zero byte
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushvalue(L, top + 1);
  if (lua_rawget(L, top + 2) == LUA_TFUNCTION &&
      !gr_encoder_see(e, lua_topointer(L, -1))->key) {
    gr_path p = {NULL, GR_AT_PRELOAD, top + 1, 0, depth + 1};
    if (depth > GR_DEPTH_LIMIT)
      gr_encoder_refuse(e, "a loader within so many", &p);
    gr_section outer = gr_encoder_begin_section(e);
    e->effects++;
    gr_encoder_put_tag(e, GR_TAG_PRELOAD);
    gr_encoder_put_string(e, top + 1);
    gr_encoder_put_value(e, top + 3, &p);
    gr_encoder_end_section(e, &outer, depth);
    gr_capture_put_early(e, depth);
  }
  lua_settop(L, top);
}

bool gr_encoder_update_modules(gr_encoder *e) {
  if (!e->is_capturing || e->has_updated)
    return false;
  e->has_updated = true;
  gr_modules_update(e->L);
  gr_encoder_find_modules(e);
  return true;
}

const char *gr_encoder_name_of(gr_encoder *e, int index, size_t *len) {
  lua_State *L = e->L;
  int modules = e->slots + GR_SLOT_MODULES;
  const void *object = lua_topointer(L, index);
  const char *name = NULL;
  if (!object)
    return NULL;
  if (!e->globals)
    gr_encoder_find_modules(e);
  if (e->home && (name = gr_image_name(e->home, object, len)))
    return name;
  if (!e->filter || !gr_modules_may_have(e->filter, object))
    return NULL;
  if (lua_isnil(L, modules)) {
    gr_modules_push(L);
    lua_replace(L, modules);
  }
  lua_pushvalue(L, index);
  if (lua_rawget(L, modules) == LUA_TSTRING)
    name = lua_tolstring(L, -1, len); // which the table keeps
  lua_pop(L, 1);
  return name;
}

// If the object is a module, or found in one, writes its name instead. Before
// one that the program put among the modules by hand its name is written.
static bool put_by_name(gr_encoder *e, int index, bool may_add, int depth) {
  lua_State *L = e->L;
  size_t len;
  const char *name = gr_encoder_name_of(e, index, &len);
  if (!name)
    return false;
  lua_pushlstring(L, name, len);
  bool is_added = *name == GR_MODULE_BY_HAND;
  if (is_added && may_add) {
    e->effects++;
    gr_encoder_needs(e, GR_IMAGE_FULL);
    gr_encoder_put_tag(e, GR_TAG_ADDED);
    lua_pushlstring(L, name + 1, len - 1);
    gr_encoder_put_string(e, -1);
    lua_pop(L, 1);
  } else if (!is_added) {
    bool is_own = e->is_capturing && !strcmp(name, "goroutines");
    gr_encoder_needs(e, is_own ? GR_IMAGE_LEAN : GR_IMAGE_FULL);
    if (e->is_capturing)
      put_preload(e, depth);
    gr_encoder_put_tag(e, GR_TAG_MODULE);
    gr_encoder_put_string(e, -1);
    if (len == strlen(name))
      touch(e, index, name);
  }
  lua_pop(L, 1);
  return !is_added;
}

// What the object's own __transfer gives, if it has one: a function and
// arguments. They live here alone.
static bool put_transfer(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  if (!lua_getmetatable(L, index))
    return false;
  lua_pushliteral(L, "__transfer");
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 2);
    return false;
  }
  if (p->depth > GR_DEPTH_LIMIT)
    gr_encoder_refuse(e, "a __transfer within so many", p);
  luaL_checkstack(L, LUA_MINSTACK, "cannot send a value nested so deeply");
  const void *key = lua_topointer(L, index);
  gr_encoder_note(e, gr_encoder_see(e, key), key, e->len, e->objects++,
                  GR_SEEN_OPEN);
  gr_encoder_needs(e, GR_IMAGE_FULL);
  gr_encoder_put_tag(e, GR_TAG_TRANSFER);
  int first = lua_gettop(L);
  lua_pushvalue(L, index);
  lua_call(L, 1, LUA_MULTRET);
  int count = lua_gettop(L) - first + 1;
  if (count == 0 || !lua_isfunction(L, first) || count > 255)
    gr_encoder_refuse(e, "what has a __transfer that returns no function", p);
  luaL_checkstack(L, LUA_MINSTACK, "cannot send a value nested so deeply");
  *gr_encoder_reserve(e, 1) = (unsigned char)count;
  e->effects++;
  gr_section outer = gr_encoder_begin_section(e);
  for (int i = 0; i < count; i++) {
    gr_path part = {p, GR_AT_TRANSFER, 0, 0, p->depth + 1};
    lua_pushvalue(L, first + i);
    gr_encoder_anchor(e);
    gr_encoder_put_value(e, first + i, &part);
  }
  gr_encoder_end_section(e, &outer, p->depth);
  gr_capture_put_early(e, p->depth);
  gr_encoder_see(e, key)->upvalue = 0;
  lua_settop(L, first - 2);
  return true;
}

bool gr_encoder_put_otherwise(gr_encoder *e, int index, bool may_add,
                              const gr_path *p) {
  const void *key = lua_topointer(e->L, index);
  gr_seen *entry = gr_encoder_see(e, key);
  if (!entry->key)
    return put_by_name(e, index, may_add, p->depth) ||
           put_transfer(e, index, p);
  if (entry->upvalue == GR_SEEN_OPEN)
    gr_encoder_refuse(e, "what refers to itself in its __transfer", p);
  return gr_encoder_put_again(e, index, 0);
}
