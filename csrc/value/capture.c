// SPDX-License-Identifier: MIT
// What a function that starts a goroutine needs besides its upvalues: the
// globals that it, or a function that it reaches, mentions; functions that the
// program has added to libraries; modules that it has made by hand; where it
// looks for modules. (mention.c finds the names.)
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
               2, 0, 1};
  uint32_t laters = e->laters, done = e->laters_done;
  e->laters_done = laters; // those before are not of this one
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  *gr_encoder_reserve(e, 1) = (unsigned char)c->kind;
  gr_encoder_put_string(e, 2);
  gr_encoder_put_value(e, 3, &p);
  size_t count_at = e->len;
  gr_encoder_reserve(e, sizeof laters);
  gr_encoder_put_laters(e);
  uint32_t count = e->laters - laters;
  memcpy(&e->block->items[count_at], &count, sizeof count);
  e->laters = laters;
  e->laters_done = done;
  e->captures++;
  return 0;
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

// Writes one, or, if it cannot be sent, that it is absent. [-0, +0]
static void put_capture(gr_encoder *e, int kind, int name, int value) {
  lua_State *L = e->L;
  gr_encoder before = *e;
  int failed = call_put(e, kind, name, value);
  if (!failed)
    return;
  if (failed == LUA_ERRMEM || is_interrupt(L))
    lua_error(L);
  gr_encoder_undo(e, &before);
  if (kind == GR_CAPTURE_GLOBAL && e->early) { // it may need what is open now
    lua_pushvalue(L, name);
    lua_rawseti(L, e->slots + GR_SLOT_NAMES, -++e->retries);
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
  if (lua_isnil(L, -1) && lua_istable(L, environment)) {
    lua_pushvalue(L, name);
    lua_gettable(L, environment);
    lua_pushvalue(L, -1);
    gr_encoder_anchor(e);
  }
  if (!lua_isnil(L, -1) && !is_everywhere(e, lua_tostring(L, name)))
    put_capture(e, GR_CAPTURE_GLOBAL, name, lua_gettop(L));
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

// What the program has added to the module on top under the word. [-1, +0]
static void put_member(gr_encoder *e, int word) {
  lua_State *L = e->L;
  int table = lua_gettop(L);
  lua_pushvalue(L, word);
  if (lua_istable(L, table) && lua_rawget(L, table) != LUA_TNIL) {
    int value = table + 1;
    const char *module = name_of(e, table), *key = lua_tostring(L, word);
    bool is_stock =
        !module || // the program's own, in place of a library
        (gr_module_is_standard(module, key)
             ? !lua_isfunction(L, value) || lua_iscfunction(L, value)
             : name_of(e, value) || !is_addition(L, value, module));
    if (!is_stock) {
      lua_pushstring(L, module);
      lua_pushlstring(L, "", 1);
      lua_pushvalue(L, word);
      lua_concat(L, 3);
      put_capture(e, GR_CAPTURE_MEMBER, lua_gettop(L), value);
    }
  }
  lua_settop(L, table - 1);
}

static void put_module(gr_encoder *e, int word) {
  lua_State *L = e->L;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, word);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    gr_encoder_update_modules(e);
    const char *name = name_of(e, word + 2);
    if (name && *name == GR_MODULE_BY_HAND)
      put_capture(e, GR_CAPTURE_LOADED, word, word + 2);
  }
  lua_settop(L, word);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushvalue(L, word);
  if (lua_rawget(L, -2) == LUA_TFUNCTION)
    put_capture(e, GR_CAPTURE_PRELOAD, word, word + 2);
  lua_settop(L, word);
}

// A path of package, the table at the index.
static void put_path(gr_encoder *e, int package, const char *field, bool is_c) {
  lua_State *L = e->L;
  const char *usual = gr_module_default_path(is_c);
  lua_pushstring(L, field);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, package) == LUA_TSTRING && usual &&
      strcmp(usual, lua_tostring(L, -1)) != 0)
    put_capture(e, GR_CAPTURE_PATH, lua_gettop(L) - 1, lua_gettop(L));
  lua_pop(L, 2);
}

// True if the searchers are those that every state has, in a list further up.
static bool are_stock(lua_State *L, int searchers, int stock) {
  bool are = lua_rawlen(L, searchers) == GR_SEARCHERS;
  for (int i = 1; are && i <= GR_SEARCHERS; i++) {
    lua_rawgeti(L, searchers, i);
    lua_rawgeti(L, stock, i);
    are = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  return are;
}

// package.searchers, if the program has changed it, with numbers for those
// that every state has.
static void put_searchers(gr_encoder *e, int package) {
  lua_State *L = e->L;
  int stock = lua_gettop(L) + 1, searchers = stock + 1;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, GR_SEARCHERS_KEY);
  lua_pushliteral(L, "searchers");
  if (lua_rawget(L, package) == LUA_TTABLE && !are_stock(L, searchers, stock)) {
    int count = (int)lua_rawlen(L, searchers);
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
      lua_rawgeti(L, searchers, i);
      int number = gr_module_find_searcher(L, stock);
      if (number)
        lua_pushinteger(L, number);
      lua_rawseti(L, searchers + 1, i);
      lua_settop(L, searchers + 1);
    }
    lua_pushvalue(L, -1);
    gr_encoder_anchor(e);
    lua_pushliteral(L, "searchers");
    put_capture(e, GR_CAPTURE_SEARCHERS, searchers + 2, searchers + 1);
  }
  lua_settop(L, stock - 1);
}

void gr_capture_put_settings(gr_encoder *e) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK + GR_SLOTS, NULL);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE) {
    put_path(e, top + 2, "path", false);
    put_path(e, top + 2, "cpath", true);
    put_searchers(e, top + 2);
  }
  lua_settop(L, top);
}

static lua_Integer count_touched(gr_encoder *e) {
  int touched = e->slots + GR_SLOT_TOUCHED;
  return lua_isnil(e->L, touched) ? 0 : (lua_Integer)lua_rawlen(e->L, touched);
}

static bool is_pending(gr_encoder *e) {
  return e->names_done < e->name_count || e->words_done < e->word_count ||
         e->member_words < e->word_count ||
         (e->word_count > 0 && e->member_modules < count_touched(e));
}

// Pushes the standard libraries.
static void push_libraries(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_gettop(L);
  for (int i = 0; i < GR_EXTENSIBLE; i++)
    lua_getfield(L, loaded, gr_module_extensible[i]);
  lua_remove(L, loaded);
}

// Each word in each module, but for the pairs that were before.
static void put_members(gr_encoder *e) {
  lua_State *L = e->L;
  lua_Integer words_before = e->member_words;
  lua_Integer modules_before = e->member_modules;
  lua_Integer words = e->word_count, modules = count_touched(e);
  e->member_words = words;
  e->member_modules = modules;
  int libraries = lua_gettop(L) + 1, word = libraries + GR_EXTENSIBLE;
  push_libraries(L);
  for (lua_Integer w = 1; w <= words; w++) {
    bool is_new = w > words_before;
    lua_rawgeti(L, e->slots + GR_SLOT_WORDS, w);
    for (int i = 0; is_new && i < GR_EXTENSIBLE; i++) {
      lua_pushvalue(L, libraries + i);
      put_member(e, word);
    }
    for (lua_Integer i = is_new ? 1 : modules_before + 1; i <= modules; i++) {
      lua_rawgeti(L, e->slots + GR_SLOT_TOUCHED, i);
      put_member(e, word);
    }
    lua_settop(L, word - 1);
  }
}

static void put_pending(gr_encoder *e) {
  lua_State *L = e->L;
  luaL_checkstack(L, LUA_MINSTACK + GR_SLOTS, NULL);
  int top = lua_gettop(L);
  while (is_pending(e)) {
    if (e->names_done < e->name_count) {
      lua_rawgeti(L, e->slots + GR_SLOT_NAMES, ++e->names_done);
      put_global(e, top + 1);
    } else if (e->words_done < e->word_count) {
      lua_rawgeti(L, e->slots + GR_SLOT_WORDS, ++e->words_done);
      put_module(e, top + 1);
    } else {
      put_members(e);
    }
    lua_settop(L, top);
  }
}

void gr_capture_put_early(gr_encoder *e) {
  uint32_t captures = e->captures, count;
  int transfers = e->transfers;
  size_t count_at = e->len;
  memset(gr_encoder_reserve(e, sizeof count), 0, sizeof count);
  if (!e->is_capturing)
    return;
  e->captures = 0;
  e->transfers = 0; // each of them is whole when it is installed
  e->early++;
  put_pending(e);
  e->early--;
  e->transfers = transfers;
  count = e->captures;
  e->captures = captures;
  memcpy(&e->block->items[count_at], &count, sizeof count);
}

void gr_capture_put(gr_encoder *e) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  put_pending(e);
  for (lua_Integer i = 1; i <= e->retries; i++) {
    lua_rawgeti(L, e->slots + GR_SLOT_NAMES, -i);
    put_global(e, top + 1);
    lua_settop(L, top);
    put_pending(e);
  }
}
