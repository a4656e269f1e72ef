// SPDX-License-Identifier: MIT
// Encoding: one walk over the values, writing items into a growing block (see
// block.h). It runs below lua_pcall, so that whatever goes wrong the encoder's
// memory is freed by the caller of that.
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "value/encoder.h"
#include "value/layout.h"

enum {
  // On the stack, of which this is to be in one page together with what a
  // goroutine has there anyway. Blocks are then made of the size they need.
  FIRST_ROOM = 256,
};

// --- writing ---

bool gr_encoder_grow(gr_encoder *e, size_t bytes) {
  size_t need = e->len + bytes, room = e->room;
  while (room < need)
    room *= 2;
  gr_block *block = realloc(e->block, sizeof *block + room);
  if (!block)
    return false;
  if (!e->block)
    memcpy(block->items, e->items, e->len);
  e->block = block;
  e->items = block->items;
  e->room = room;
  return true;
}

unsigned char *gr_encoder_reserve(gr_encoder *e, size_t bytes) {
  unsigned char *at = gr_encoder_try_reserve(e, bytes);
  if (!at)
    gr_encoder_no_memory(e);
  return at;
}

void gr_encoder_put_tag(gr_encoder *e, int tag) {
  *gr_encoder_reserve(e, 1) = (unsigned char)tag;
}

void gr_encoder_put(gr_encoder *e, const void *data, size_t bytes) {
  memcpy(gr_encoder_reserve(e, bytes), data, bytes);
}

static void put_u32(gr_encoder *e, uint32_t n) {
  gr_encoder_put(e, &n, sizeof n);
}

void gr_encoder_find_globals(gr_encoder *e) {
  lua_State *L = e->L;
  e->home = gr_home_of_copy(L);
  if (gr_layout_is_known) {
    e->globals =
        gr_raw_get_table(lua_topointer(L, LUA_REGISTRYINDEX), LUA_RIDX_GLOBALS);
    if (e->globals)
      return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  e->globals = lua_topointer(L, -1);
  lua_pop(L, 1);
}

void gr_encoder_find_modules(gr_encoder *e) {
  e->filter = gr_modules_filter(e->L);
  gr_encoder_find_globals(e);
}

void gr_encoder_put_tagged(gr_encoder *e, int tag, const void *data,
                           size_t bytes) {
  if (!gr_encoder_try_put_tagged(e, tag, data, bytes))
    gr_encoder_no_memory(e);
}

void gr_encoder_put_string(gr_encoder *e, int index) {
  size_t len;
  const char *s = lua_tolstring(e->L, index, &len);
  if (!gr_encoder_try_put_string(e, s, len))
    gr_encoder_no_memory(e);
}

// --- what has been seen ---

static uint32_t slot_of(const void *key, uint32_t room) {
  uint64_t hash = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  return (uint32_t)(hash >> 32) & (room - 1);
}

// In the hash table.
static gr_seen *find_slot(gr_encoder *e, const void *key) {
  uint32_t i = slot_of(key, e->seen_room);
  while (e->seen[i].key && e->seen[i].key != key)
    i = (i + 1) & (e->seen_room - 1);
  return &e->seen[i];
}

static bool grow_seen(gr_encoder *e) {
  enum { ROOM_MIN = 32 }; // a power of two
  gr_seen *old = e->seen;
  uint32_t used = old == e->few ? e->seen_count : e->seen_room;
  uint32_t room = old == e->few ? ROOM_MIN : e->seen_room * 2;
  gr_seen *table = calloc(room, sizeof *table);
  if (!table)
    return false;
  e->seen = table;
  e->seen_room = room;
  e->seen_max = room / 4 * 3;
  for (uint32_t i = 0; i < used; i++)
    if (old[i].key)
      *find_slot(e, old[i].key) = old[i];
  if (old != e->few)
    free(old);
  return true;
}

gr_seen *gr_encoder_try_see_more(gr_encoder *e, const void *key) {
  if (e->seen_count == e->seen_max && !grow_seen(e))
    return NULL;
  return find_slot(e, key);
}

gr_seen *gr_encoder_see(gr_encoder *e, const void *key) {
  gr_seen *entry = gr_encoder_try_see(e, key);
  if (!entry)
    gr_encoder_no_memory(e);
  return entry;
}

void gr_encoder_note(gr_encoder *e, gr_seen *entry, const void *key,
                     size_t tag_at, uint32_t object, uint32_t upvalue) {
  *entry = (gr_seen){key, tag_at, object, upvalue};
  e->seen_count++;
}

void gr_encoder_mark_shared(gr_encoder *e, const gr_seen *entry) {
  unsigned char *tag = &e->items[entry->tag_at];
  if (!(*tag & GR_TAG_SHARED)) {
    *tag |= GR_TAG_SHARED;
    e->shared++;
  }
}

// Those whose tag is there, or further on.
static void forget_seen(gr_encoder *e, size_t tag_at) {
  uint32_t used = e->seen == e->few ? e->seen_count : e->seen_room;
  size_t bytes = used * sizeof *e->seen;
  gr_seen *entries = malloc(bytes + 1);
  if (!entries)
    gr_encoder_no_memory(e);
  memcpy(entries, e->seen, bytes);
  memset(e->seen, 0, bytes);
  e->seen_count = 0;
  for (uint32_t i = 0; i < used; i++)
    if (entries[i].key && entries[i].tag_at < tag_at) {
      *gr_encoder_try_see(e, entries[i].key) = entries[i];
      e->seen_count++;
    }
  free(entries);
}

void gr_encoder_need_slot(gr_encoder *e, int slot) {
  if (lua_isnil(e->L, e->slots + slot)) {
    lua_newtable(e->L);
    lua_replace(e->L, e->slots + slot);
  }
}

static void note_later(gr_encoder *e, int index) {
  gr_encoder_need_slot(e, GR_SLOT_LATER);
  lua_pushvalue(e->L, index);
  lua_rawseti(e->L, e->slots + GR_SLOT_LATER, ++e->laters);
}

// Some may have been written before that as well: they are written twice.
static void mark_off_again(gr_encoder *e) {
  for (uint32_t i = e->laters_done + 1; i <= e->laters; i++) {
    lua_rawgeti(e->L, e->slots + GR_SLOT_LATER, i);
    gr_encoder_see(e, lua_topointer(e->L, -1))->upvalue = GR_SEEN_OFF;
    lua_pop(e->L, 1);
  }
}

void gr_encoder_undo(gr_encoder *e, const gr_encoder *before) {
  forget_seen(e, before->len);
  for (; e->handle_count > before->handle_count; e->handle_count--) {
    gr_block_handle *handle = &e->handles[e->handle_count - 1];
    handle->type->release(handle->object);
  }
  e->len = before->len;
  e->objects = before->objects;
  e->laters = before->laters;
  e->laters_done = before->laters_done;
  e->sections = before->sections;
  mark_off_again(e);
  e->captures = before->captures;
  e->names.lists_done = before->names.lists_done;
  e->names.done = before->names.done;
  e->words.lists_done = before->words.lists_done;
  e->words.done = before->words.done;
  e->member_words = before->member_words;
  e->member_modules = before->member_modules;
  e->member_libraries = before->member_libraries;
  e->early = before->early;
  e->depth = before->depth;
  gr_capture_undo(e, before->len);
}

bool gr_encoder_put_again(gr_encoder *e, int index, int tag) {
  const void *key = lua_topointer(e->L, index);
  gr_seen *entry = gr_encoder_see(e, key);
  if (entry->key) {
    gr_encoder_mark_shared(e, entry);
    if (GR_UNLIKELY(entry->upvalue == GR_SEEN_OFF) && e->sections > 0)
      note_later(e, index);
    gr_encoder_put_tagged(e, GR_TAG_REF, &entry->object, sizeof entry->object);
    return true;
  }
  gr_encoder_note(e, entry, key, e->len, e->objects++, 0);
  gr_encoder_put_tag(e, tag);
  return false;
}

// --- values ---

void gr_encoder_anchor(gr_encoder *e) {
  int anchors = e->slots + GR_SLOT_ANCHORS;
  gr_encoder_need_slot(e, GR_SLOT_ANCHORS);
  lua_rawseti(e->L, anchors, (lua_Integer)lua_rawlen(e->L, anchors) + 1);
}

bool gr_encoder_try_put_handle(gr_encoder *e, const gr_handle *handle) {
  if (e->handle_count == e->handle_room) {
    uint32_t room = e->handle_room ? e->handle_room * 2 : 4;
    void *handles = realloc(e->handles, room * sizeof *e->handles);
    if (!handles)
      return false;
    e->handles = handles;
    e->handle_room = room;
  }
  uint32_t number = e->handle_count;
  if (!gr_encoder_try_put_tagged(e, GR_TAG_HANDLE, &number, sizeof number))
    return false;
  handle->type->retain(handle->object);
  e->handles[e->handle_count++] =
      (gr_block_handle){handle->type, handle->object, handle->view, false};
  return true;
}

// Not inline: put_value calls itself, and this has much on the stack.
static GR_NOINLINE void refuse_userdata(gr_encoder *e, int index,
                                        const gr_path *p) {
  char what[100];
  const char *name = "userdata";
  if (luaL_getmetafield(e->L, index, "__name") == LUA_TSTRING)
    name = lua_tostring(e->L, -1);
  snprintf(what, sizeof what, "a userdata (%.60s)", name);
  gr_encoder_refuse(e, what, p);
}

static void put_userdata(gr_encoder *e, int index, const gr_path *p) {
  gr_handle *handle = gr_handle_get(e->L, index);
  if (handle && handle->object) {
    if (!handle->is_listed) {
      luaL_checkstack(e->L, 4, "cannot send a value nested so deeply");
      gr_handle_list(e->L, index, handle);
    }
    if (!gr_encoder_try_put_handle(e, handle))
      gr_encoder_no_memory(e);
    return;
  }
  if (!e->globals)
    gr_encoder_find_modules(e);
  gr_encoder_update_modules(e);
  if (!gr_encoder_put_otherwise(e, index, false, p))
    refuse_userdata(e, index, p);
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
    e->items[sizes_at + 2 * sizeof array] = GR_TABLE_HAS_METATABLE;
    gr_encoder_put_value(e, lua_gettop(L), &meta);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, index)) {
    put_pair(e, &array, &hash, p);
    lua_pop(L, 1);
  }
  gr_encoder_put_tag(e, GR_TAG_END);
  memcpy(&e->items[sizes_at], &array, sizeof array);
  memcpy(&e->items[sizes_at + sizeof array], &hash, sizeof hash);
}

void gr_encoder_put_off(gr_encoder *e, int index) {
  gr_seen *entry = gr_encoder_see(e, lua_topointer(e->L, index));
  gr_encoder_mark_shared(e, entry);
  entry->upvalue = GR_SEEN_OFF;
  note_later(e, index);
}

// True if the table has a metatable that was put off, as some other value.
static bool has_meta_later(gr_encoder *e, int index) {
  if (!lua_getmetatable(e->L, index))
    return false;
  gr_seen *entry = gr_encoder_see(e, lua_topointer(e->L, -1));
  lua_pop(e->L, 1);
  return entry->key && entry->upvalue == GR_SEEN_OFF;
}

static void put_table(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  if (lua_topointer(L, index) == e->globals) {
    // Only as the _ENV of a function are its uses known.
    if (p->at != GR_AT_UPVALUE)
      gr_encoder_needs(e, GR_IMAGE_FULL);
    gr_encoder_put_tag(e, GR_TAG_GLOBALS);
    return;
  }
  // Lua looks for a finalizer in a metatable when it is set: that is there
  // then.
  bool is_meta = p->at == GR_AT_METATABLE;
  bool later = p->depth > (is_meta ? GR_DEPTH_LIMIT : GR_DEPTH_MAX) ||
               (e->laters_done < e->laters && has_meta_later(e, index));
  bool may_add = p->depth <= GR_DEPTH_MAX && !later;
  if (gr_encoder_put_otherwise(e, index, may_add, p) ||
      (gr_encoder_update_modules(e) &&
       gr_encoder_put_otherwise(e, index, may_add, p)))
    return;
  gr_encoder_put_again(e, index, later ? GR_TAG_TABLE_LATER : GR_TAG_TABLE);
  if (later)
    gr_encoder_put_off(e, index);
  else
    put_content(e, index, p);
}

static void put_number(gr_encoder *e, int index) {
  if (lua_isinteger(e->L, index)) {
    lua_Integer i = lua_tointeger(e->L, index);
    gr_encoder_put_tagged(e, GR_TAG_INTEGER, &i, sizeof i);
  } else {
    lua_Number n = lua_tonumber(e->L, index);
    gr_encoder_put_tagged(e, GR_TAG_FLOAT, &n, sizeof n);
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
    if (!e->globals)
      gr_encoder_find_modules(e);
    put_table(e, index, p);
    break;
  case LUA_TFUNCTION:
    if (!e->globals)
      gr_encoder_find_modules(e);
    if (lua_iscfunction(L, index))
      gr_encoder_put_c_function(e, index, p);
    else
      gr_encoder_put_lua_function(e, index, p);
    break;
  case LUA_TLIGHTUSERDATA: {
    void *pointer = lua_touserdata(L, index);
    gr_encoder_put_tagged(e, GR_TAG_POINTER, &pointer, sizeof pointer);
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

// In the midst of a value at this depth. Returns of how many.
static uint32_t put_laters(gr_encoder *e, int depth) {
  lua_State *L = e->L;
  uint32_t count = 0;
  luaL_checkstack(L, LUA_MINSTACK, "cannot send a value nested so deeply");
  while (e->laters_done < e->laters) {
    gr_path p = {NULL, GR_AT_LATER, 0, 0, depth + 1};
    lua_rawgeti(L, e->slots + GR_SLOT_LATER, ++e->laters_done);
    gr_seen *entry = gr_encoder_see(e, lua_topointer(L, -1));
    if (entry->upvalue == GR_SEEN_OFF) { // else it has been written meanwhile
      entry->upvalue = 0;
      put_u32(e, entry->object);
      if (lua_isfunction(L, -1))
        gr_encoder_put_function_later(e, lua_gettop(L), &p);
      else
        put_content(e, lua_gettop(L), &p);
      count++;
    }
    lua_pop(L, 1);
  }
  return count;
}

gr_section gr_encoder_begin_section(gr_encoder *e) {
  gr_section outer = {e->laters, e->laters_done};
  e->laters_done = e->laters; // those before are not of this one
  e->sections++;
  return outer;
}

void gr_encoder_end_section(gr_encoder *e, const gr_section *outer, int depth) {
  size_t count_at = e->len;
  gr_encoder_reserve(e, sizeof(uint32_t));
  uint32_t count = put_laters(e, depth);
  memcpy(&e->items[count_at], &count, sizeof count);
  e->laters = outer->laters;
  e->laters_done = outer->laters_done;
  e->sections--;
}

// Below lua_pcall: the encoder and the values.
static int encode_protected(lua_State *L) {
  gr_encoder *e = lua_touserdata(L, 1);
  int count = lua_gettop(L) - 1;
  luaL_checkstack(L, LUA_MINSTACK + GR_SLOTS, NULL);
  e->slots = lua_gettop(L) + 1;
  lua_settop(L, e->slots + GR_SLOTS - 1);
  if (e->is_capturing) {
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
  e->value_laters = put_laters(e, 0);
  if (e->is_capturing)
    gr_capture_put(e);
  return 0;
}

static void release_handles(gr_encoder *e) {
  for (uint32_t i = 0; i < e->handle_count; i++)
    e->handles[i].type->release(e->handles[i].object);
  free(e->handles);
}

// NULL when out of memory.
static gr_block *finish(gr_encoder *e, int count) {
  gr_block *block = e->block; // not shrunk: most live for microseconds
  if (!block) {
    block = gr_block_new(e->len);
    if (!block)
      return NULL;
    memcpy(block->items, e->items, e->len);
  } else {
    block->room = e->room;
  }
  gr_refs_init(&block->refs);
  block->value_count = (uint32_t)count;
  block->later_count = e->value_laters;
  block->effect_count = e->effects;
  block->setting_count = e->settings;
  block->capture_count = e->captures;
  block->shared_count = e->shared;
  block->needs = e->needs;
  block->code = e->code;
  block->code_object = e->code_object;
  block->bytes = e->len;
  block->handles = e->handles;
  block->handle_count = e->handle_count;
  gr_count(GR_COUNT_BLOCKS, 1);
  return block;
}

static void begin(gr_encoder *e, lua_State *L, gr_values what,
                  unsigned char first[FIRST_ROOM]) {
  memset(e, 0, offsetof(gr_encoder, few));
  e->L = L;
  e->what = what;
  e->items = first;
  e->room = FIRST_ROOM;
  e->seen = e->few;
  e->seen_max = GR_SEEN_FEW;
  e->is_capturing = what == GR_VALUES_CALL;
}

static void end_seen(gr_encoder *e) {
  if (e->seen != e->few)
    free(e->seen);
}

static void discard(gr_encoder *e) {
  release_handles(e);
  free(e->block);
}

gr_block *gr_block_encode_plain(lua_State *L, int first, int count) {
  unsigned char bytes[FIRST_ROOM];
  gr_encoder e;
  begin(&e, L, GR_VALUES_SENT, bytes);
  gr_block *block = gr_plain_put(&e, first, count) ? finish(&e, count) : NULL;
  end_seen(&e);
  if (!block)
    discard(&e);
  return block;
}

gr_block *gr_block_encode_any(lua_State *L, int count, gr_values what) {
  unsigned char first[FIRST_ROOM];
  gr_encoder e;
  // Also what it wants itself: allocating takes much of the C stack, of which
  // more is in use there.
  luaL_checkstack(L, 3 + LUA_MINSTACK + GR_SLOTS, NULL);
  begin(&e, L, what, first);
  lua_pushcfunction(L, encode_protected);
  lua_insert(L, -count - 1);
  lua_pushlightuserdata(L, &e);
  lua_insert(L, -count - 1);
  int failed = lua_pcall(L, count + 1, 0, 0);
  end_seen(&e);
  gr_block *block = failed ? NULL : finish(&e, count);
  if (!block) {
    discard(&e);
    if (failed)
      lua_error(L);
    luaL_error(L, "not enough memory");
  }
  return block;
}

gr_block *gr_block_encode(lua_State *L, int count, gr_values what) {
  luaL_checkstack(L, 2, NULL);
  gr_block *block =
      what == GR_VALUES_CALL
          ? NULL
          : gr_block_encode_plain(L, lua_gettop(L) - count + 1, count);
  if (!block)
    return gr_block_encode_any(L, count, what);
  lua_pop(L, count);
  return block;
}
