// SPDX-License-Identifier: MIT
// Encoding: one walk over the values, writing items into a growing block (see
// block.h). It runs below lua_pcall, so that whatever goes wrong the encoder's
// memory is freed by the caller of that.
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value/block.h"

enum {
  ROOM_MIN = 512,
  SEEN_MIN = 16,     // slots; a power of two
  DEPTH_LIMIT = 190, // of functions in functions
  SHORT_MAX = 255,
};

// An object that has been written, or the variable of a closure.
typedef struct seen {
  const void *key;
  size_t tag_at;    // where its tag is, or that of the function
  uint32_t object;  // its number, or the function's
  uint32_t upvalue; // of a variable: its index there; else 0
} seen;

typedef struct encoder {
  lua_State *L;
  gr_values what;
  gr_block *block; // header and items
  size_t len, room;
  gr_block_handle *handles;
  uint32_t handle_count, handle_room;
  uint32_t objects, shared, laters, laters_done;
  int later_table; // stack index
  seen first_seen[SEEN_MIN];
  seen *table;
  uint32_t seen_count, seen_room;
} encoder;

// Where in the values the walk is, innermost first.
typedef struct path {
  const struct path *outer;
  enum {
    AT_ROOT,
    AT_KEY,
    AT_KEY_ITSELF,
    AT_METATABLE,
    AT_UPVALUE,
    AT_LATER
  } at;
  int index; // of the root; of the key or the function on the stack
  int upvalue;
  int depth;
} path;

// --- errors ---

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

static void add_root(encoder *e, text *t, int index) {
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

static void add_upvalue(lua_State *L, text *t, const path *p) {
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

static void add_path(encoder *e, text *t, const path *p) {
  if (p->outer)
    add_path(e, t, p->outer);
  switch (p->at) {
  case AT_ROOT:
    add_root(e, t, p->index);
    break;
  case AT_KEY:
    add_key(e->L, t, p->index);
    break;
  case AT_KEY_ITSELF:
    add(t, ", in a key");
    break;
  case AT_METATABLE:
    add(t, ", in its metatable");
    break;
  case AT_UPVALUE:
    add_upvalue(e->L, t, p);
    break;
  case AT_LATER:
    add(t, "(nested deeply)");
    break;
  }
}

static int refuse(encoder *e, const char *what, const path *p) {
  text t = {""};
  add_path(e, &t, p);
  return luaL_error(e->L, "cannot send %s (at %s)", what, t.bytes);
}

static int no_memory(encoder *e) {
  return luaL_error(e->L, "not enough memory");
}

// --- writing ---

static unsigned char *reserve(encoder *e, size_t bytes) {
  size_t need = e->len + bytes;
  if (need > e->room) {
    size_t room = e->room ? e->room : ROOM_MIN;
    while (room < need)
      room *= 2;
    gr_block *block = realloc(e->block, sizeof *block + room);
    if (!block)
      no_memory(e);
    e->block = block;
    e->room = room;
  }
  unsigned char *at = e->block->items + e->len;
  e->len = need;
  return at;
}

static void put_tag(encoder *e, int tag) {
  *reserve(e, 1) = (unsigned char)tag;
}

static void put(encoder *e, const void *data, size_t bytes) {
  memcpy(reserve(e, bytes), data, bytes);
}

static void put_u32(encoder *e, uint32_t n) {
  put(e, &n, sizeof n);
}

static void put_tagged(encoder *e, int tag, const void *data, size_t bytes) {
  unsigned char *at = reserve(e, 1 + bytes);
  *at = (unsigned char)tag;
  memcpy(at + 1, data, bytes);
}

static void put_string(encoder *e, int index) {
  size_t len;
  const char *s = lua_tolstring(e->L, index, &len);
  if (len <= SHORT_MAX) {
    unsigned char *at = reserve(e, 2 + len);
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

static seen *find_seen(encoder *e, const void *key) {
  uint32_t i = slot_of(key, e->seen_room);
  while (e->table[i].key && e->table[i].key != key)
    i = (i + 1) & (e->seen_room - 1);
  return &e->table[i];
}

static void grow_seen(encoder *e) {
  uint32_t room = e->seen_room * 2;
  seen *old = e->table, *table = calloc(room, sizeof *table);
  if (!table)
    no_memory(e);
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
static seen *see(encoder *e, const void *key) {
  if ((e->seen_count + 1) * 4 > e->seen_room * 3)
    grow_seen(e);
  return find_seen(e, key);
}

static void note(encoder *e, seen *entry, const void *key, size_t tag_at,
                 uint32_t object, uint32_t upvalue) {
  *entry = (seen){key, tag_at, object, upvalue};
  e->seen_count++;
}

static void mark_shared(encoder *e, const seen *entry) {
  unsigned char *tag = &e->block->items[entry->tag_at];
  if (!(*tag & GR_TAG_SHARED)) {
    *tag |= GR_TAG_SHARED;
    e->shared++;
  }
}

// If the object was written before, refers to it; else gives it a number and
// writes its tag.
static bool put_again(encoder *e, const void *key, int tag) {
  seen *entry = see(e, key);
  if (entry->key) {
    mark_shared(e, entry);
    put_tagged(e, GR_TAG_REF, &entry->object, sizeof entry->object);
    return true;
  }
  note(e, entry, key, e->len, e->objects++, 0);
  put_tag(e, tag);
  return false;
}

// --- values ---

static void put_value(encoder *e, int index, const path *p);

static void put_handle(encoder *e, gr_handle *handle) {
  if (e->handle_count == e->handle_room) {
    uint32_t room = e->handle_room ? e->handle_room * 2 : 4;
    void *handles = realloc(e->handles, room * sizeof *e->handles);
    if (!handles)
      no_memory(e);
    e->handles = handles;
    e->handle_room = room;
  }
  handle->type->retain(handle->object);
  e->handles[e->handle_count] =
      (gr_block_handle){handle->type, handle->object, handle->view, false};
  uint32_t number = e->handle_count++; // first: its reference is in the list
  put_tagged(e, GR_TAG_HANDLE, &number, sizeof number);
}

static void put_userdata(encoder *e, int index, const path *p) {
  gr_handle *handle = gr_handle_get(e->L, index);
  if (handle && handle->object) {
    put_handle(e, handle);
    return;
  }
  char what[100];
  const char *name = "userdata";
  if (luaL_getmetafield(e->L, index, "__name") == LUA_TSTRING)
    name = lua_tostring(e->L, -1);
  snprintf(what, sizeof what, "a userdata (%.60s)", name);
  refuse(e, what, p);
}

// A key and its value, which are the top two of the stack. Array items come
// first, in order; lua_next gives them so.
static void put_pair(encoder *e, uint32_t *array, uint32_t *hash,
                     const path *outer) {
  lua_State *L = e->L;
  int key = lua_gettop(L) - 1;
  path p = {outer, AT_KEY, key, 0, outer->depth + 1};
  if (*hash == 0 && lua_isinteger(L, key) &&
      lua_tointeger(L, key) == (lua_Integer)*array + 1 && *array < UINT32_MAX) {
    ++*array;
  } else {
    path itself = {outer, AT_KEY_ITSELF, 0, 0, outer->depth + 1};
    put_value(e, key, &itself);
    ++*hash;
  }
  put_value(e, key + 1, &p);
}

static void put_content(encoder *e, int index, const path *p) {
  lua_State *L = e->L;
  uint32_t array = 0, hash = 0;
  size_t sizes_at = e->len;
  memset(reserve(e, 2 * sizeof array + 1), 0, 2 * sizeof array + 1);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  if (lua_getmetatable(L, index)) {
    path meta = {p, AT_METATABLE, 0, 0, p->depth + 1};
    e->block->items[sizes_at + 2 * sizeof array] = GR_TABLE_HAS_METATABLE;
    put_value(e, lua_gettop(L), &meta);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, index)) {
    put_pair(e, &array, &hash, p);
    lua_pop(L, 1);
  }
  put_tag(e, GR_TAG_END);
  memcpy(&e->block->items[sizes_at], &array, sizeof array);
  memcpy(&e->block->items[sizes_at + sizeof array], &hash, sizeof hash);
}

// Too deep: the table is remembered, and written at the end.
static void put_off(encoder *e, int index) {
  lua_State *L = e->L;
  if (e->laters == 0) {
    lua_newtable(L);
    lua_replace(L, e->later_table);
  }
  lua_pushvalue(L, index);
  lua_rawseti(L, e->later_table, ++e->laters);
}

static void put_table(encoder *e, int index, const path *p) {
  lua_State *L = e->L;
  lua_pushglobaltable(L);
  bool is_globals = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  if (is_globals) {
    put_tag(e, GR_TAG_GLOBALS);
    return;
  }
  bool later = p->depth > GR_DEPTH_MAX;
  const void *key = lua_topointer(L, index);
  if (find_seen(e, key)->key == NULL && gr_module_find(L, index)) {
    put_tag(e, GR_TAG_MODULE);
    put_string(e, -1);
    lua_pop(L, 1);
    return;
  }
  if (put_again(e, key, later ? GR_TAG_LATER : GR_TAG_TABLE))
    return;
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

static void put_bytecode(encoder *e, int index) {
  size_t size_at = e->len;
  reserve(e, sizeof(uint32_t));
  lua_pushvalue(e->L, index);
  lua_dump(e->L, append, e, 0);
  lua_pop(e->L, 1);
  size_t size = e->len - size_at - sizeof(uint32_t);
  if (size > UINT32_MAX)
    no_memory(e);
  uint32_t size32 = (uint32_t)size;
  memcpy(&e->block->items[size_at], &size32, sizeof size32);
}

// True for the environment of a function where that is not the globals but
// inherits from others, as sandboxes and test frameworks make them.
static bool is_environment(lua_State *L, const char *name, int index) {
  if (strcmp(name, "_ENV") || !lua_istable(L, index) ||
      luaL_getmetafield(L, index, "__index") == LUA_TNIL)
    return false;
  lua_pop(L, 1);
  return true;
}

static void put_upvalue(encoder *e, int function, int i, uint32_t object,
                        size_t tag_at, const path *outer) {
  lua_State *L = e->L;
  const void *key = lua_upvalueid(L, function, i);
  seen *entry = see(e, key);
  if (entry->key) {
    unsigned char index = (unsigned char)entry->upvalue;
    mark_shared(e, entry);
    put_tagged(e, GR_TAG_UPVALUE, &entry->object, sizeof entry->object);
    put(e, &index, 1);
    return;
  }
  note(e, entry, key, tag_at, object, (uint32_t)i);
  path p = {outer, AT_UPVALUE, function, i, outer->depth + 1};
  const char *name = lua_getupvalue(L, function, i);
  if (is_environment(L, name, lua_gettop(L)))
    put_tag(e, GR_TAG_GLOBALS);
  else
    put_value(e, lua_gettop(L), &p);
  lua_pop(L, 1);
}

static void put_lua_function(encoder *e, int index, const path *p) {
  lua_State *L = e->L;
  size_t tag_at = e->len;
  uint32_t object = e->objects;
  if (put_again(e, lua_topointer(L, index), GR_TAG_FUNCTION_LUA))
    return;
  if (p->depth > DEPTH_LIMIT)
    refuse(e, "functions nested so deeply", p);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  put_bytecode(e, index);
  lua_Debug ar;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">u", &ar);
  *reserve(e, 1) = ar.nups;
  for (int i = 1; i <= ar.nups; i++)
    put_upvalue(e, index, i, object, tag_at, p);
}

static void put_c_function(encoder *e, int index, const path *p) {
  lua_State *L = e->L;
  lua_CFunction function = lua_tocfunction(L, index);
  unsigned char count = 0;
  while (lua_getupvalue(L, index, count + 1)) {
    lua_pop(L, 1);
    count++;
  }
  if (count == 0) {
    put_tagged(e, GR_TAG_FUNCTION_C, &function, sizeof function);
    return;
  }
  if (put_again(e, lua_topointer(L, index), GR_TAG_CLOSURE))
    return;
  if (p->depth > DEPTH_LIMIT)
    refuse(e, "functions nested so deeply", p);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  put(e, &function, sizeof function);
  put(e, &count, 1);
  for (int i = 1; i <= count; i++) {
    path up = {p, AT_UPVALUE, index, i, p->depth + 1};
    lua_getupvalue(L, index, i);
    put_value(e, lua_gettop(L), &up);
    lua_pop(L, 1);
  }
}

static void put_number(encoder *e, int index) {
  if (lua_isinteger(e->L, index)) {
    lua_Integer i = lua_tointeger(e->L, index);
    put_tagged(e, GR_TAG_INTEGER, &i, sizeof i);
  } else {
    lua_Number n = lua_tonumber(e->L, index);
    put_tagged(e, GR_TAG_FLOAT, &n, sizeof n);
  }
}

static void put_value(encoder *e, int index, const path *p) {
  lua_State *L = e->L;
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    put_tag(e, GR_TAG_NIL);
    break;
  case LUA_TBOOLEAN:
    put_tag(e, lua_toboolean(L, index) ? GR_TAG_TRUE : GR_TAG_FALSE);
    break;
  case LUA_TNUMBER:
    put_number(e, index);
    break;
  case LUA_TSTRING:
    put_string(e, index);
    break;
  case LUA_TTABLE:
    put_table(e, index, p);
    break;
  case LUA_TFUNCTION:
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
    refuse(e, "a coroutine", p);
    break;
  default:
    refuse(e, "such a value", p);
  }
}

static void put_laters(encoder *e) {
  lua_State *L = e->L;
  for (; e->laters_done < e->laters; e->laters_done++) {
    path p = {NULL, AT_LATER, 0, 0, 1};
    lua_rawgeti(L, e->later_table, e->laters_done + 1);
    uint32_t object = find_seen(e, lua_topointer(L, -1))->object;
    put_u32(e, object);
    put_content(e, lua_gettop(L), &p);
    lua_pop(L, 1);
  }
}

// Below lua_pcall: the encoder and the values.
static int encode_protected(lua_State *L) {
  encoder *e = lua_touserdata(L, 1);
  int count = lua_gettop(L) - 1;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushnil(L); // for the table of those put off
  e->later_table = lua_gettop(L);
  for (int i = 0; i < count; i++) {
    path p = {NULL, AT_ROOT, i, 0, 1};
    if (count == 1 && e->what == GR_VALUES_SENT)
      p.index = 0;
    put_value(e, i + 2, &p);
  }
  put_laters(e);
  return 0;
}

static void release_handles(encoder *e) {
  for (uint32_t i = 0; i < e->handle_count; i++)
    e->handles[i].type->release(e->handles[i].object);
  free(e->handles);
}

static gr_block *finish(encoder *e, int count) {
  // Not shrunk: most blocks live for microseconds.
  gr_block *block = e->block;
  gr_refs_init(&block->refs);
  block->value_count = (uint32_t)count;
  block->later_count = e->laters;
  block->shared_count = e->shared;
  block->bytes = e->len;
  block->handles = e->handles;
  block->handle_count = e->handle_count;
  gr_block_counted(1);
  return block;
}

gr_block *gr_block_encode(lua_State *L, int count, gr_values what) {
  encoder e = {.L = L, .what = what, .seen_room = SEEN_MIN};
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
