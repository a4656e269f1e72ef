// SPDX-License-Identifier: MIT
// What a function that starts a goroutine needs besides its upvalues: the
// globals that it, or a function that it reaches, mentions; functions that the
// program has added to libraries; modules that it has made by hand. (mention.c
// finds the names.)
//
// What only a full state has, a function that gets by with less does not reach
// by its words: these are looked at as soon as a full one is needed, and before
// that only for methods of strings.
#include <lauxlib.h>
#include <string.h>

#include "value/encoder.h"

typedef struct capture {
  gr_encoder *e;
  int kind;
} capture;

// Below lua_pcall: the capture, its name, its value, the encoder's slots.
static int put_protected(lua_State *L) {
  capture *c = lua_touserdata(L, 1);
  gr_encoder *e = c->e;
  gr_path p = {NULL, c->kind == GR_CAPTURE_GLOBAL ? GR_AT_GLOBAL : GR_AT_ADDED,
               2, 0, e->depth + 1};
  gr_section outer = gr_encoder_begin_section(e);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  *gr_encoder_reserve(e, 1) = (unsigned char)c->kind;
  gr_encoder_put_string(e, 2);
  gr_encoder_put_value(e, 3, &p);
  gr_encoder_end_section(e, &outer, e->depth);
  e->captures++;
  return 0;
}

// From now on there is a first list, if an empty one: lists that are found
// within lua_pcall are to be in tables which are there already.
static void need_first(gr_encoder *e, int slot, gr_mentioned *m) {
  gr_encoder_need_slot(e, slot);
  if (m->lists == 0)
    m->lists = m->lists_done = 1;
}

static int call_put(gr_encoder *e, int kind, int name, int value) {
  lua_State *L = e->L;
  capture c = {e, kind};
  int slots = e->slots;
  if (kind != GR_CAPTURE_GLOBAL && kind != GR_CAPTURE_ABSENT)
    gr_encoder_needs(e, GR_IMAGE_FULL);
  for (int i = 0; i < GR_SLOTS; i++) // so that all of them are seen here, too
    if (i != GR_SLOT_MODULES && i != GR_SLOT_ENVIRONMENT)
      gr_encoder_need_slot(e, i);
  lua_pushcfunction(L, put_protected);
  lua_pushlightuserdata(L, &c);
  lua_pushvalue(L, name);
  lua_pushvalue(L, value);
  for (int i = 0; i < GR_SLOTS; i++)
    lua_pushvalue(L, slots + i);
  e->slots = 4;
  int failed = lua_pcall(L, 3 + GR_SLOTS, 0, 0);
  e->slots = slots;
  return failed;
}

// True of what the stock interpreter's hook raises for Ctrl-C; it may fire in
// any call, also in those here.
static bool is_interrupt(lua_State *L) {
  static const char text[] = "interrupted!";
  size_t len;
  const char *message =
      lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  return message && len >= sizeof text - 1 &&
         !strcmp(message + len - (sizeof text - 1), text);
}

// Pushes the kind and the name as one string.
static void push_key(lua_State *L, int kind, int name) {
  char letter = (char)('A' + kind);
  lua_pushlstring(L, &letter, 1);
  lua_pushvalue(L, name);
  lua_concat(L, 2);
}

static bool is_captured(gr_encoder *e, int kind, int name) {
  lua_State *L = e->L;
  int captured = e->slots + GR_SLOT_CAPTURED;
  if (lua_isnil(L, captured))
    return false;
  push_key(L, kind, name);
  bool is = lua_rawget(L, captured) != LUA_TNIL;
  lua_pop(L, 1);
  return is;
}

// Notes that the capture is written here; false if it has been. [-0, +0]
static bool is_first(gr_encoder *e, int kind, int name) {
  lua_State *L = e->L;
  int captured = e->slots + GR_SLOT_CAPTURED;
  if (is_captured(e, kind, name))
    return false;
  gr_encoder_need_slot(e, GR_SLOT_CAPTURED);
  push_key(L, kind, name);
  lua_pushinteger(L, (lua_Integer)e->len);
  lua_rawset(L, captured);
  return true;
}

void gr_capture_undo(gr_encoder *e, size_t len) {
  lua_State *L = e->L;
  int captured = e->slots + GR_SLOT_CAPTURED;
  if (lua_isnil(L, captured))
    return;
  lua_pushnil(L);
  while (lua_next(L, captured)) {
    if (lua_tointeger(L, -1) > (lua_Integer)len) {
      lua_pushvalue(L, -2);
      lua_pushnil(L);
      lua_rawset(L, captured);
    }
    lua_pop(L, 1);
  }
}

void gr_capture_put_one(gr_encoder *e, int kind, int name, int value) {
  lua_State *L = e->L;
  if (!is_first(e, kind, name))
    return;
  need_first(e, GR_SLOT_NAMES, &e->names);
  need_first(e, GR_SLOT_WORDS, &e->words);
  gr_encoder before = *e;
  int failed = call_put(e, kind, name, value);
  if (!failed)
    return;
  if (failed == LUA_ERRMEM || is_interrupt(L))
    lua_error(L);
  gr_encoder_undo(e, &before);
  if (kind == GR_CAPTURE_GLOBAL && e->early) { // it may need what is open now
    gr_encoder_need_slot(e, GR_SLOT_RETRIES);
    lua_pushvalue(L, name);
    lua_rawseti(L, e->slots + GR_SLOT_RETRIES, ++e->retries);
  }
  if (kind == GR_CAPTURE_GLOBAL) {
    luaL_tolstring(L, -1, NULL);
    if (call_put(e, GR_CAPTURE_ABSENT, name, lua_gettop(L)))
      lua_error(L);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static const char *name_of(gr_encoder *e, int index) {
  size_t len;
  return gr_encoder_name_of(e, index, &len);
}

// True for the value on top if every state has it by this name.
static bool is_everywhere(gr_encoder *e, const char *name) {
  lua_State *L = e->L;
  if (!gr_module_is_standard("_G", name))
    return false;
  if (lua_iscfunction(L, -1) || lua_type(L, -1) == LUA_TSTRING)
    return true;
  const char *library = name_of(e, -1);
  return library && !strcmp(library, name);
}

static void put_global(gr_encoder *e, int name) {
  lua_State *L = e->L;
  int environment = e->slots + GR_SLOT_ENVIRONMENT;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushvalue(L, name);
  lua_rawget(L, -2);
  if (lua_isnil(L, -1) && lua_istable(L, environment) &&
      !is_captured(e, GR_CAPTURE_GLOBAL, name)) {
    lua_pushvalue(L, name);
    lua_gettable(L, environment);
    lua_pushvalue(L, -1);
    gr_encoder_anchor(e);
  }
  if (!lua_isnil(L, -1) && !is_everywhere(e, lua_tostring(L, name)))
    gr_capture_put_one(e, GR_CAPTURE_GLOBAL, name, lua_gettop(L));
  lua_settop(L, name);
}

// Of the program's own modules, settings are not additions; of this one, its
// own functions.
static bool is_addition(lua_State *L, int index, const char *module) {
  if (!strcmp(module, "goroutines"))
    return lua_isfunction(L, index) && !lua_iscfunction(L, index);
  return lua_isfunction(L, index) || lua_istable(L, index) ||
         gr_module_is_standard("_G", module);
}

// The value on top, found in the table by the word, if the program has put it
// there. What it leaves on the stack is the caller's to remove.
static void put_member(gr_encoder *e, int table, int word) {
  lua_State *L = e->L;
  int value = lua_gettop(L);
  const char *module = name_of(e, table), *key = lua_tostring(L, word);
  bool is_stock = !module || // the program's own, in place of a library
                  (gr_module_is_standard(module, key)
                       ? !lua_isfunction(L, value) || lua_iscfunction(L, value)
                       : name_of(e, value) || !is_addition(L, value, module));
  if (is_stock)
    return;
  lua_pushstring(L, module);
  lua_pushlstring(L, "", 1);
  lua_pushvalue(L, word);
  lua_concat(L, 3);
  gr_capture_put_one(e, GR_CAPTURE_MEMBER, lua_gettop(L), value);
}

static void put_module(gr_encoder *e, int word) {
  lua_State *L = e->L;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, word);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    gr_encoder_update_modules(e);
    const char *name = name_of(e, word + 2);
    if (name && *name == GR_MODULE_BY_HAND)
      gr_capture_put_one(e, GR_CAPTURE_LOADED, word, word + 2);
  }
  lua_settop(L, word);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushvalue(L, word);
  if (lua_rawget(L, -2) == LUA_TFUNCTION)
    gr_capture_put_one(e, GR_CAPTURE_PRELOAD, word, word + 2);
  lua_settop(L, word);
}

// --- in which order ---

static void mention(gr_encoder *e, int slot, gr_mentioned *m) {
  lua_State *L = e->L;
  lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
  if (count == 0) {
    lua_pop(L, 1);
    return;
  }
  m->lists++;
  m->count += count;
  if (m->lists == 1) {
    lua_replace(L, e->slots + slot);
    return;
  }
  gr_encoder_need_slot(e, slot + 1);
  lua_rawseti(L, e->slots + slot + 1, m->lists - 1);
}

// From 1 on.
static void push_list(gr_encoder *e, int slot, lua_Integer i) {
  if (i == 1)
    lua_pushvalue(e->L, e->slots + slot);
  else
    lua_rawgeti(e->L, e->slots + slot + 1, i - 1);
}

void gr_capture_mention(gr_encoder *e) {
  mention(e, GR_SLOT_WORDS, &e->words);
  mention(e, GR_SLOT_NAMES, &e->names);
}

static bool has_next(const gr_mentioned *m) {
  return m->lists_done < m->lists;
}

// Pushes the next one.
static void push_next(gr_encoder *e, int slot, gr_mentioned *m) {
  lua_State *L = e->L;
  push_list(e, slot, m->lists_done + 1);
  lua_rawgeti(L, -1, ++m->done);
  if (m->done == (lua_Integer)lua_rawlen(L, -2)) {
    m->lists_done++;
    m->done = 0;
  }
  lua_remove(L, -2);
}

static lua_Integer count_touched(gr_encoder *e) {
  int touched = e->slots + GR_SLOT_TOUCHED;
  return lua_isnil(e->L, touched) ? 0 : (lua_Integer)lua_rawlen(e->L, touched);
}

// How many standard libraries are looked at for additions.
static int count_libraries(const gr_encoder *e) {
  return e->needs == GR_IMAGE_FULL ? GR_EXTENSIBLE : 1; // of strings
}

static bool has_members(gr_encoder *e) {
  return e->member_words < e->words.count ||
         (e->words.count > 0 && (e->member_modules < count_touched(e) ||
                                 e->member_libraries < count_libraries(e)));
}

// The module on top in the words of so many lists, from this word on. [-1, +0]
static void put_members_of(gr_encoder *e, lua_Integer lists, lua_Integer from) {
  lua_State *L = e->L;
  int module = lua_gettop(L), list = module + 1;
  lua_Integer n = 0;
  for (lua_Integer i = 1; lua_istable(L, module) && i <= lists; i++) {
    push_list(e, GR_SLOT_WORDS, i);
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    for (lua_Integer k = from > n ? from - n + 1 : 1; k <= count; k++) {
      lua_rawgeti(L, list, k);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, module) != LUA_TNIL)
        put_member(e, module, list + 1);
      lua_settop(L, list);
    }
    n += count;
    lua_settop(L, module);
  }
  lua_settop(L, module - 1);
}

// Each word in each module, but for the pairs that were before.
static void put_members(gr_encoder *e) {
  lua_State *L = e->L;
  lua_Integer words = e->member_words, modules = e->member_modules;
  lua_Integer lists = e->words.lists;
  int libraries = e->member_libraries;
  e->member_words = e->words.count;
  e->member_modules = count_touched(e);
  e->member_libraries = count_libraries(e);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_gettop(L);
  for (int i = 0, end = e->member_libraries; i < end; i++) {
    lua_getfield(L, loaded, gr_module_extensible[i]);
    put_members_of(e, lists, i < libraries ? words : 0);
  }
  for (lua_Integer i = 1, end = e->member_modules; i <= end; i++) {
    lua_rawgeti(L, e->slots + GR_SLOT_TOUCHED, i);
    put_members_of(e, lists, i <= modules ? words : 0);
  }
  lua_settop(L, loaded - 1);
}

static void put_pending(gr_encoder *e) {
  lua_State *L = e->L;
  luaL_checkstack(L, LUA_MINSTACK + GR_SLOTS, NULL);
  int top = lua_gettop(L);
  for (;; lua_settop(L, top)) {
    if (has_next(&e->names)) {
      push_next(e, GR_SLOT_NAMES, &e->names);
      put_global(e, top + 1);
    } else if (e->needs == GR_IMAGE_FULL && has_next(&e->words)) {
      push_next(e, GR_SLOT_WORDS, &e->words);
      put_module(e, top + 1);
    } else if (has_members(e)) {
      put_members(e);
    } else {
      return;
    }
  }
}

void gr_capture_put_early(gr_encoder *e, int depth) {
  uint32_t captures = e->captures, count;
  int outer = e->depth;
  size_t count_at = e->len;
  memset(gr_encoder_reserve(e, sizeof count), 0, sizeof count);
  if (!e->is_capturing)
    return;
  e->captures = 0;
  e->early++;
  e->depth = depth;
  put_pending(e);
  e->depth = outer;
  e->early--;
  count = e->captures;
  e->captures = captures;
  memcpy(&e->items[count_at], &count, sizeof count);
}

void gr_capture_put(gr_encoder *e) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  put_pending(e);
  for (lua_Integer i = 1; i <= e->retries; i++) {
    lua_rawgeti(L, e->slots + GR_SLOT_RETRIES, i);
    push_key(L, GR_CAPTURE_GLOBAL, top + 1);
    lua_pushnil(L);
    lua_rawset(L, e->slots + GR_SLOT_CAPTURED);
    put_global(e, top + 1);
    lua_settop(L, top);
    put_pending(e);
  }
}
