// SPDX-License-Identifier: MIT
// Encoding: one walk over the values, writing items into a growing block (see
// block.h). It runs below lua_pcall, so that whatever goes wrong the encoder's
// memory is freed by the caller of that.
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "value/encoder.h"

enum {
  ROOM_MIN = 512,
  DEPTH_LIMIT = 190, // of functions in functions
  SHORT_MAX = 255,
};

// --- writing ---

unsigned char *gr_encoder_reserve(gr_encoder *e, size_t bytes) {
  size_t need = e->len + bytes;
  if (need > e->room) {
    size_t room = e->room ? e->room : ROOM_MIN;
    while (room < need)
      room *= 2;
    gr_block *block = realloc(e->block, sizeof *block + room);
    if (!block)
      gr_encoder_no_memory(e);
    e->block = block;
    e->room = room;
  }
  unsigned char *at = e->block->items + e->len;
  e->len = need;
  return at;
}

void gr_encoder_put_tag(gr_encoder *e, int tag) {
  *gr_encoder_reserve(e, 1) = (unsigned char)tag;
}

static void put(gr_encoder *e, const void *data, size_t bytes) {
  memcpy(gr_encoder_reserve(e, bytes), data, bytes);
}

static void put_u32(gr_encoder *e, uint32_t n) {
  put(e, &n, sizeof n);
}

// Before the first object that may have a name.
static void find_modules(gr_encoder *e) {
  lua_State *L = e->L;
  e->filter = gr_modules_filter(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  e->globals = lua_topointer(L, -1);
  lua_pop(L, 1);
}

static void put_tagged(gr_encoder *e, int tag, const void *data, size_t bytes) {
  unsigned char *at = gr_encoder_reserve(e, 1 + bytes);
  *at = (unsigned char)tag;
  memcpy(at + 1, data, bytes);
}

void gr_encoder_put_string(gr_encoder *e, int index) {
  size_t len;
  const char *s = lua_tolstring(e->L, index, &len);
  if (len <= SHORT_MAX) {
    unsigned char *at = gr_encoder_reserve(e, 2 + len);
    at[0] = GR_TAG_SHORT;
    at[1] = (unsigned char)len;
    memcpy(at + 2, s, len);
  } else {
    uint64_t long_len = len;
    put_tagged(e, GR_TAG_STRING, &long_len, sizeof long_len);
    put(e, s, len);
  }
}

// --- what has been seen ---

static uint32_t slot_of(const void *key, uint32_t room) {
  uint64_t hash = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  return (uint32_t)(hash >> 32) & (room - 1);
}

static gr_seen *find_seen(gr_encoder *e, const void *key) {
  uint32_t i = slot_of(key, e->seen_room);
  while (e->table[i].key && e->table[i].key != key)
    i = (i + 1) & (e->seen_room - 1);
  return &e->table[i];
}

static void grow_seen(gr_encoder *e) {
  uint32_t room = e->seen_room * 2;
  gr_seen *old = e->table, *table = calloc(room, sizeof *table);
  if (!table)
    gr_encoder_no_memory(e);
  e->table = table;
  uint32_t old_room = e->seen_room;
  e->seen_room = room;
  for (uint32_t i = 0; i < old_room; i++)
    if (old[i].key)
      *find_seen(e, old[i].key) = old[i];
  if (old != e->first_seen)
    free(old);
}

// The entry of the key, which is new if it has no key yet.
static gr_seen *see(gr_encoder *e, const void *key) {
  if ((e->seen_count + 1) * 4 > e->seen_room * 3)
    grow_seen(e);
  return find_seen(e, key);
}

static void note(gr_encoder *e, gr_seen *entry, const void *key, size_t tag_at,
                 uint32_t object, uint32_t upvalue) {
  *entry = (gr_seen){key, tag_at, object, upvalue};
  e->seen_count++;
}

static void mark_shared(gr_encoder *e, const gr_seen *entry) {
  unsigned char *tag = &e->block->items[entry->tag_at];
  if (!(*tag & GR_TAG_SHARED)) {
    *tag |= GR_TAG_SHARED;
    e->shared++;
  }
}

void gr_encoder_undo(gr_encoder *e, const gr_encoder *before) {
  gr_seen *entries = malloc(e->seen_room * sizeof *entries);
  if (!entries)
    gr_encoder_no_memory(e);
  memcpy(entries, e->table, e->seen_room * sizeof *entries);
  memset(e->table, 0, e->seen_room * sizeof *entries);
  e->seen_count = 0;
  for (uint32_t i = 0; i < e->seen_room; i++)
    if (entries[i].key && entries[i].tag_at < before->len) {
      *find_seen(e, entries[i].key) = entries[i];
      e->seen_count++;
    }
  free(entries);
  for (; e->handle_count > before->handle_count; e->handle_count--) {
    gr_block_handle *handle = &e->handles[e->handle_count - 1];
    handle->type->release(handle->object);
  }
  e->len = before->len;
  e->objects = before->objects;
  e->laters = before->laters;
  e->laters_done = before->laters_done;
  e->captures = before->captures;
  e->transfers = before->transfers;
  e->names_done = before->names_done;
  e->words_done = before->words_done;
  e->member_words = before->member_words;
  e->member_modules = before->member_modules;
  e->early = before->early;
}

// If the object was written before, refers to it; else gives it a number and
// writes its tag.
static bool put_again(gr_encoder *e, const void *key, int tag) {
  gr_seen *entry = see(e, key);
  if (entry->key) {
    mark_shared(e, entry);
    put_tagged(e, GR_TAG_REF, &entry->object, sizeof entry->object);
    return true;
  }
  note(e, entry, key, e->len, e->objects++, 0);
  gr_encoder_put_tag(e, tag);
  return false;
}

// --- values ---

static void need_slot(gr_encoder *e, int slot) {
  if (lua_isnil(e->L, e->slots + slot)) {
    lua_newtable(e->L);
    lua_replace(e->L, e->slots + slot);
  }
}

void gr_encoder_anchor(gr_encoder *e) {
  int anchors = e->slots + GR_SLOT_ANCHORS;
  need_slot(e, GR_SLOT_ANCHORS);
  lua_rawseti(e->L, anchors, (lua_Integer)lua_rawlen(e->L, anchors) + 1);
}

// A module sent by name: functions may mention what was added to it.
static void touch(gr_encoder *e, int index) {
  int touched = e->slots + GR_SLOT_TOUCHED;
  if (!e->is_capturing || !lua_istable(e->L, index))
    return;
  lua_pushvalue(e->L, index);
  bool is_new = lua_rawget(e->L, touched) == LUA_TNIL;
  lua_pop(e->L, 1);
  if (!is_new)
    return;
  lua_pushvalue(e->L, index);
  lua_pushboolean(e->L, true);
  lua_rawset(e->L, touched);
  lua_pushvalue(e->L, index);
  lua_rawseti(e->L, touched, (lua_Integer)lua_rawlen(e->L, touched) + 1);
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
      !find_seen(e, lua_topointer(L, -1))->key) {
    gr_path p = {NULL, GR_AT_PRELOAD, top + 1, 0, depth + 1};
    e->effects++;
    gr_encoder_put_tag(e, GR_TAG_PRELOAD);
    gr_encoder_put_string(e, top + 1);
    gr_encoder_put_value(e, top + 3, &p);
    gr_capture_put_early(e);
  }
  lua_settop(L, top);
}

// If the object is a module, or found in one, writes its name instead. Before
// one that the program put among the modules by hand its name is written.
static bool put_by_name(gr_encoder *e, int index, bool may_add, int depth) {
  lua_State *L = e->L;
  int modules = e->slots + GR_SLOT_MODULES;
  if (!gr_modules_may_have(e->filter, lua_topointer(L, index)))
    return false;
  if (lua_isnil(L, modules)) {
    gr_modules_push(L);
    lua_replace(L, modules);
  }
  lua_pushvalue(L, index);
  if (lua_rawget(L, modules) != LUA_TSTRING) {
    lua_pop(L, 1);
    return false;
  }
  size_t len;
  const char *name = lua_tolstring(L, -1, &len);
  bool is_added = *name == GR_MODULE_BY_HAND;
  if (is_added && may_add) {
    e->effects++;
    gr_encoder_put_tag(e, GR_TAG_ADDED);
    lua_pushlstring(L, name + 1, len - 1);
    gr_encoder_put_string(e, -1);
    lua_pop(L, 1);
  } else if (!is_added) {
    if (e->is_capturing)
      put_preload(e, depth);
    gr_encoder_put_tag(e, GR_TAG_MODULE);
    gr_encoder_put_string(e, -1);
    if (len == strlen(name))
      touch(e, index);
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
  luaL_checkstack(L, LUA_MINSTACK, "cannot send a value nested so deeply");
  const void *key = lua_topointer(L, index);
  note(e, see(e, key), key, e->len, e->objects++, GR_SEEN_OPEN);
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
  e->transfers++;
  for (int i = 0; i < count; i++) {
    gr_path part = {p, GR_AT_TRANSFER, 0, 0, p->depth + 1};
    lua_pushvalue(L, first + i);
    gr_encoder_anchor(e);
    gr_encoder_put_value(e, first + i, &part);
  }
  gr_capture_put_early(e);
  e->transfers--;
  find_seen(e, key)->upvalue = 0;
  lua_settop(L, first - 2);
  return true;
}

// True if the object was written before, or is by name or __transfer.
static bool put_otherwise(gr_encoder *e, int index, bool may_add,
                          const gr_path *p) {
  const void *key = lua_topointer(e->L, index);
  gr_seen *entry = find_seen(e, key);
  if (!entry->key)
    return put_by_name(e, index, may_add, p->depth) ||
           put_transfer(e, index, p);
  if (entry->upvalue == GR_SEEN_OPEN)
    gr_encoder_refuse(e, "what refers to itself in its __transfer", p);
  return put_again(e, key, 0);
}

static void put_handle(gr_encoder *e, gr_handle *handle) {
  if (e->handle_count == e->handle_room) {
    uint32_t room = e->handle_room ? e->handle_room * 2 : 4;
    void *handles = realloc(e->handles, room * sizeof *e->handles);
    if (!handles)
      gr_encoder_no_memory(e);
    e->handles = handles;
    e->handle_room = room;
  }
  handle->type->retain(handle->object);
  e->handles[e->handle_count] =
      (gr_block_handle){handle->type, handle->object, handle->view, false};
  uint32_t number = e->handle_count++; // first: its reference is in the list
  put_tagged(e, GR_TAG_HANDLE, &number, sizeof number);
}

static void put_userdata(gr_encoder *e, int index, const gr_path *p) {
  gr_handle *handle = gr_handle_get(e->L, index);
  if (handle && handle->object) {
    put_handle(e, handle);
    return;
  }
  if (!e->filter)
    find_modules(e);
  if (put_otherwise(e, index, false, p))
    return;
  char what[100];
  const char *name = "userdata";
  if (luaL_getmetafield(e->L, index, "__name") == LUA_TSTRING)
    name = lua_tostring(e->L, -1);
  snprintf(what, sizeof what, "a userdata (%.60s)", name);
  gr_encoder_refuse(e, what, p);
}

// A key and its value, which are the top two of the stack. Array items come
// first, in order; lua_next gives them so.
static void put_pair(gr_encoder *e, uint32_t *array, uint32_t *hash,
                     const gr_path *outer) {
  lua_State *L = e->L;
  int key = lua_gettop(L) - 1;
  gr_path p = {outer, GR_AT_KEY, key, 0, outer->depth + 1};
  if (*hash == 0 && lua_isinteger(L, key) &&
      lua_tointeger(L, key) == (lua_Integer)*array + 1 && *array < UINT32_MAX) {
    ++*array;
  } else {
    gr_path itself = {outer, GR_AT_KEY_ITSELF, 0, 0, outer->depth + 1};
    gr_encoder_put_value(e, key, &itself);
    ++*hash;
  }
  gr_encoder_put_value(e, key + 1, &p);
}

static void put_content(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  uint32_t array = 0, hash = 0;
  size_t sizes_at = e->len;
  memset(gr_encoder_reserve(e, 2 * sizeof array + 1), 0, 2 * sizeof array + 1);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  if (lua_getmetatable(L, index)) {
    gr_path meta = {p, GR_AT_METATABLE, 0, 0, p->depth + 1};
    e->block->items[sizes_at + 2 * sizeof array] = GR_TABLE_HAS_METATABLE;
    gr_encoder_put_value(e, lua_gettop(L), &meta);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, index)) {
    put_pair(e, &array, &hash, p);
    lua_pop(L, 1);
  }
  gr_encoder_put_tag(e, GR_TAG_END);
  memcpy(&e->block->items[sizes_at], &array, sizeof array);
  memcpy(&e->block->items[sizes_at + sizeof array], &hash, sizeof hash);
}

// Too deep: the table is remembered, and written at the end.
static void put_off(gr_encoder *e, int index) {
  need_slot(e, GR_SLOT_LATER);
  lua_pushvalue(e->L, index);
  lua_rawseti(e->L, e->slots + GR_SLOT_LATER, ++e->laters);
}

static void put_table(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  if (lua_topointer(L, index) == e->globals) {
    gr_encoder_put_tag(e, GR_TAG_GLOBALS);
    return;
  }
  // What a __transfer gave must be whole when its function is called.
  bool later = p->depth > GR_DEPTH_MAX && e->transfers == 0;
  if (p->depth > DEPTH_LIMIT && !later)
    gr_encoder_refuse(e, "what is nested so deeply in a __transfer", p);
  if (put_otherwise(e, index, !later, p))
    return;
  const void *key = lua_topointer(L, index);
  put_again(e, key, later ? GR_TAG_LATER : GR_TAG_TABLE);
  if (later) {
    mark_shared(e, find_seen(e, key));
    put_off(e, index);
  } else {
    put_content(e, index, p);
  }
}

static int append(lua_State *L, const void *data, size_t bytes, void *arg) {
  (void)L;
  put(arg, data, bytes);
  return 0;
}

static void put_bytecode(gr_encoder *e, int index) {
  size_t size_at = e->len;
  gr_encoder_reserve(e, sizeof(uint32_t));
  lua_pushvalue(e->L, index);
  lua_dump(e->L, append, e, 0);
  lua_pop(e->L, 1);
  size_t size = e->len - size_at - sizeof(uint32_t);
  if (size > UINT32_MAX)
    gr_encoder_no_memory(e);
  uint32_t size32 = (uint32_t)size;
  memcpy(&e->block->items[size_at], &size32, sizeof size32);
}

typedef enum environment {
  NO_ENVIRONMENT,
  IS_GLOBALS,
  INHERITS,      // looks up globals through tables; copied as any table
  IS_PROGRAMMED, // by functions, as test frameworks have it; stands for the
                 // receiver's globals
} environment;

// What the value on top is, as the _ENV of a function. [-0, +0]
static environment environment_of(gr_encoder *e, const char *name) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  environment is = NO_ENVIRONMENT;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  if (lua_rawequal(L, -1, top))
    is = IS_GLOBALS;
  bool may_inherit = is == NO_ENVIRONMENT && !strcmp(name, "_ENV");
  lua_pushvalue(L, top);
  for (int i = 0; i < 100 && may_inherit && lua_istable(L, -1); i++) {
    if (luaL_getmetafield(L, -1, "__index") == LUA_TNIL)
      break;
    if (lua_isfunction(L, -1))
      is = IS_PROGRAMMED;
    else if (lua_rawequal(L, -1, top + 1))
      is = INHERITS;
    may_inherit = is == NO_ENVIRONMENT;
    lua_replace(L, top + 2);
  }
  lua_settop(L, top);
  return is;
}

static void put_upvalue(gr_encoder *e, int function, int i, uint32_t object,
                        size_t tag_at, const gr_path *outer) {
  lua_State *L = e->L;
  const void *key = lua_upvalueid(L, function, i);
  gr_seen *entry = see(e, key);
  if (entry->key) {
    unsigned char index = (unsigned char)entry->upvalue;
    mark_shared(e, entry);
    put_tagged(e, GR_TAG_UPVALUE, &entry->object, sizeof entry->object);
    put(e, &index, 1);
    return;
  }
  note(e, entry, key, tag_at, object, (uint32_t)i);
  gr_path p = {outer, GR_AT_UPVALUE, function, i, outer->depth + 1};
  const char *name = lua_getupvalue(L, function, i);
  if (environment_of(e, name) == IS_PROGRAMMED) {
    gr_encoder_put_tag(e, GR_TAG_GLOBALS);
    lua_replace(L, e->slots + GR_SLOT_ENVIRONMENT);
    return;
  }
  gr_encoder_put_value(e, lua_gettop(L), &p);
  lua_pop(L, 1);
}

static void scan(gr_encoder *e, int function, int upvalues, size_t at) {
  bool environments[256] = {false};
  for (int i = 1; i <= upvalues; i++) {
    const char *name = lua_getupvalue(e->L, function, i);
    environments[i - 1] = environment_of(e, name) != NO_ENVIRONMENT;
    lua_pop(e->L, 1);
  }
  gr_capture_scan(e, e->block->items + at, e->len - at, environments);
}

static void put_lua_function(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  size_t tag_at = e->len;
  uint32_t object = e->objects;
  if (put_otherwise(e, index, false, p))
    return;
  tag_at = e->len;
  put_again(e, lua_topointer(L, index), GR_TAG_FUNCTION_LUA);
  if (p->depth > DEPTH_LIMIT)
    gr_encoder_refuse(e, "functions nested so deeply", p);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  size_t bytecode_at = e->len + sizeof(uint32_t);
  put_bytecode(e, index);
  lua_Debug ar;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">u", &ar);
  if (e->is_capturing)
    scan(e, index, ar.nups, bytecode_at);
  *gr_encoder_reserve(e, 1) = ar.nups;
  for (int i = 1; i <= ar.nups; i++)
    put_upvalue(e, index, i, object, tag_at, p);
}

static void put_c_function(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  lua_CFunction function = lua_tocfunction(L, index);
  if (put_otherwise(e, index, false, p))
    return;
  unsigned char count = 0;
  while (lua_getupvalue(L, index, count + 1)) {
    lua_pop(L, 1);
    count++;
  }
  if (count == 0) {
    put_tagged(e, GR_TAG_FUNCTION_C, &function, sizeof function);
    return;
  }
  put_again(e, lua_topointer(L, index), GR_TAG_CLOSURE);
  if (p->depth > DEPTH_LIMIT)
    gr_encoder_refuse(e, "functions nested so deeply", p);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  put(e, &function, sizeof function);
  put(e, &count, 1);
  for (int i = 1; i <= count; i++) {
    gr_path up = {p, GR_AT_UPVALUE, index, i, p->depth + 1};
    lua_getupvalue(L, index, i);
    gr_encoder_put_value(e, lua_gettop(L), &up);
    lua_pop(L, 1);
  }
}

static void put_number(gr_encoder *e, int index) {
  if (lua_isinteger(e->L, index)) {
    lua_Integer i = lua_tointeger(e->L, index);
    put_tagged(e, GR_TAG_INTEGER, &i, sizeof i);
  } else {
    lua_Number n = lua_tonumber(e->L, index);
    put_tagged(e, GR_TAG_FLOAT, &n, sizeof n);
  }
}

void gr_encoder_put_value(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    gr_encoder_put_tag(e, GR_TAG_NIL);
    break;
  case LUA_TBOOLEAN:
    gr_encoder_put_tag(e, lua_toboolean(L, index) ? GR_TAG_TRUE : GR_TAG_FALSE);
    break;
  case LUA_TNUMBER:
    put_number(e, index);
    break;
  case LUA_TSTRING:
    gr_encoder_put_string(e, index);
    break;
  case LUA_TTABLE:
    if (!e->filter)
      find_modules(e);
    put_table(e, index, p);
    break;
  case LUA_TFUNCTION:
    if (!e->filter)
      find_modules(e);
    if (lua_iscfunction(L, index))
      put_c_function(e, index, p);
    else
      put_lua_function(e, index, p);
    break;
  case LUA_TLIGHTUSERDATA: {
    void *pointer = lua_touserdata(L, index);
    put_tagged(e, GR_TAG_POINTER, &pointer, sizeof pointer);
    break;
  }
  case LUA_TUSERDATA:
    put_userdata(e, index, p);
    break;
  case LUA_TTHREAD:
    gr_encoder_refuse(e, "a coroutine", p);
    break;
  default:
    gr_encoder_refuse(e, "such a value", p);
  }
}

void gr_encoder_put_laters(gr_encoder *e) {
  lua_State *L = e->L;
  for (; e->laters_done < e->laters; e->laters_done++) {
    gr_path p = {NULL, GR_AT_LATER, 0, 0, 1};
    lua_rawgeti(L, e->slots + GR_SLOT_LATER, e->laters_done + 1);
    uint32_t object = find_seen(e, lua_topointer(L, -1))->object;
    put_u32(e, object);
    put_content(e, lua_gettop(L), &p);
    lua_pop(L, 1);
  }
}

static void need_slots(gr_encoder *e) {
  for (int i = 0; i < GR_SLOTS; i++)
    if (i != GR_SLOT_MODULES && i != GR_SLOT_ENVIRONMENT)
      need_slot(e, i);
}

// Below lua_pcall: the encoder and the values.
static int encode_protected(lua_State *L) {
  gr_encoder *e = lua_touserdata(L, 1);
  int count = lua_gettop(L) - 1;
  luaL_checkstack(L, LUA_MINSTACK + GR_SLOTS, NULL);
  e->slots = lua_gettop(L) + 1;
  lua_settop(L, e->slots + GR_SLOTS - 1);
  if (e->is_capturing) {
    need_slots(e);
    gr_capture_put_settings(e);
    e->settings = e->captures;
    e->captures = 0;
  }
  for (int i = 0; i < count; i++) {
    gr_path p = {NULL, GR_AT_ROOT, i, 0, 1};
    if (count == 1 && e->what == GR_VALUES_SENT)
      p.index = 0;
    gr_encoder_put_value(e, i + 2, &p);
  }
  gr_encoder_put_laters(e);
  e->value_laters = e->laters;
  if (e->is_capturing)
    gr_capture_put(e);
  return 0;
}

static void release_handles(gr_encoder *e) {
  for (uint32_t i = 0; i < e->handle_count; i++)
    e->handles[i].type->release(e->handles[i].object);
  free(e->handles);
}

static gr_block *finish(gr_encoder *e, int count) {
  // Not shrunk: most blocks live for microseconds.
  gr_block *block = e->block;
  gr_refs_init(&block->refs);
  block->value_count = (uint32_t)count;
  block->later_count = e->value_laters;
  block->effect_count = e->effects;
  block->setting_count = e->settings;
  block->capture_count = e->captures;
  block->shared_count = e->shared;
  block->bytes = e->len;
  block->handles = e->handles;
  block->handle_count = e->handle_count;
  gr_block_counted(1);
  return block;
}

gr_block *gr_block_encode(lua_State *L, int count, gr_values what) {
  gr_encoder e = {.L = L,
                  .what = what,
                  .seen_room = GR_SEEN_MIN,
                  .is_capturing = what == GR_VALUES_CALL};
  e.table = e.first_seen;
  luaL_checkstack(L, 2, NULL);
  lua_pushcfunction(L, encode_protected);
  lua_insert(L, -count - 1);
  lua_pushlightuserdata(L, &e);
  lua_insert(L, -count - 1);
  e.block = malloc(sizeof *e.block + ROOM_MIN);
  e.room = e.block ? ROOM_MIN : 0;
  int failed = lua_pcall(L, count + 1, 0, 0);
  if (e.table != e.first_seen)
    free(e.table);
  if (failed) {
    release_handles(&e);
    free(e.block);
    lua_error(L);
  }
  if (!e.block) {
    release_handles(&e);
    luaL_error(L, "not enough memory");
  }
  return finish(&e, count);
}
