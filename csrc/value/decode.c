// SPDX-License-Identifier: MIT
// Decoding: one walk over the items of a block (see block.h), in the state of
// the receiver. The block is held by the caller, who frees it if this raises.
#include <lauxlib.h>
#include <string.h>

#include "value/block.h"
#include "value/code.h"
#include "value/module.h"
#include "value/shape.h"

enum {
  VALUES_MAX = 1000000, // as many as a Lua stack has room for
  DEPTH_LIMIT = 200,    // somewhat more than the encoder writes
  // Tables nested no deeper find room on the stack that was made before them:
  // each has itself, a metatable, a key and a value there. So what holds values
  // makes that much for them, besides its own.
  ROOMY_DEPTH = 3,
  TABLE_ROOM = 8,
  VALUE_ROOM = 4 * ROOMY_DEPTH + TABLE_ROOM,
};

typedef struct decoder {
  lua_State *L;
  const gr_block *block;
  const unsigned char *at, *end;
  uint32_t objects; // begun so far
  uint32_t effects; // obeyed so far
  int depth;        // of the value that is read: of C frames
  int kept;         // stack index of the table of shared objects, by number
  bool installs;    // what came along
} decoder;

static void ignore(lua_CFunction function) {
  (void)function;
}

void (*gr_message_on_c_function)(lua_CFunction function) = ignore;

static void need(decoder *d, size_t bytes) {
  if ((size_t)(d->end - d->at) < bytes)
    luaL_error(d->L, "damaged message");
}

static void get(decoder *d, void *to, size_t bytes) {
  need(d, bytes);
  memcpy(to, d->at, bytes);
  d->at += bytes;
}

static unsigned get_byte(decoder *d) {
  need(d, 1);
  return *d->at++;
}

static uint32_t get_u32(decoder *d) {
  uint32_t n;
  get(d, &n, sizeof n);
  return n;
}

// What a table can hold without Lua's knowing: a string or table that was just
// made, on top of the stack; NULL for anything else, or if nobody knows.
typedef const gr_raw_object *storable;

static storable push_value(decoder *d);
static void install_early(decoder *d);

static storable push_string(decoder *d, size_t len) {
  need(d, len);
  const char *s = lua_pushlstring(d->L, (const char *)d->at, len);
  d->at += len;
  return gr_layout_is_known ? gr_raw_string_of(s) : NULL;
}

static void push_handle(decoder *d) {
  uint32_t i = get_u32(d);
  if (i >= d->block->handle_count)
    luaL_error(d->L, "damaged message");
  const gr_block_handle *handle = &d->block->handles[i];
  handle->type->retain(handle->object);
  gr_handle_push(d->L, handle->type, handle->object, handle->view);
}

// The object on top, whose number is `object`, may be referred to later.
static void keep(decoder *d, uint32_t object) {
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->kept, (lua_Integer)object + 1);
}

static void push_kept(decoder *d, uint32_t object) {
  if (!d->kept ||
      lua_rawgeti(d->L, d->kept, (lua_Integer)object + 1) == LUA_TNIL)
    luaL_error(d->L, "damaged message");
}

// Puts a value where Lua has it, if a number or boolean comes next.
static inline bool get_scalar(decoder *d, gr_raw *value, uint8_t *type) {
  enum { BYTES = 1 + sizeof *value };
  if (GR_UNLIKELY(d->end - d->at < BYTES)) // left to push_value
    return false;
  switch (*d->at) {
  case GR_TAG_INTEGER:
    *type = GR_RAW_INTEGER;
    break;
  case GR_TAG_FLOAT:
    *type = GR_RAW_FLOAT;
    break;
  case GR_TAG_TRUE:
    *type = GR_RAW_TRUE;
    d->at++;
    return true;
  case GR_TAG_FALSE:
    *type = GR_RAW_FALSE;
    d->at++;
    return true;
  default:
    return false;
  }
  memcpy(value, d->at + 1, sizeof *value);
  d->at += BYTES;
  return true;
}

// The array part is as large as it was made, and stays so while nobody else has
// the table: but what is decoded may run functions.
static uint32_t room_of(const gr_raw_table *t, uint32_t array) {
  if (!t || (t->flags & GR_RAW_IS_HINT))
    return 0;
  return t->limit < array ? t->limit : array;
}

static void fill_array(decoder *d, gr_raw_table *t, uint32_t array) {
  lua_State *L = d->L;
  for (uint32_t i = 0; i < array; i++) {
    uint32_t room = room_of(t, array);
    while (i < room && get_scalar(d, &t->items[i].value, &t->items[i].type))
      i++;
    if (i == array)
      return;
    storable object = push_value(d);
    gr_raw_item *item = object && i < room_of(t, array) ? &t->items[i] : NULL;
    if (item && gr_raw_store(t, object, &item->value, &item->type))
      lua_pop(L, 1);
    else
      lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_field_name(decoder *d, const gr_fields *fields,
                            uint32_t field) {
  const unsigned char *name = fields->bytes;
  while (field-- > 0)
    name += 1 + *name;
  lua_pushlstring(d->L, (const char *)name + 1, *name);
}

// Where a field is, if it is still there: what is decoded, and a finalizer or
// hook that has the table by way of `debug`, may change it. One without a value
// yet has false.
static gr_raw_node *node_at(const gr_raw_table *t, unsigned node) {
  if (node >= gr_raw_node_count(t) || gr_raw_is_nil(t->nodes[node].type))
    return NULL;
  return &t->nodes[node];
}

static void fill_nodes(decoder *d, gr_raw_table *t, const gr_shape *shape,
                       const gr_fields *fields) {
  lua_State *L = d->L;
  uint8_t nodes[GR_SHAPE_FIELDS]; // the shape may go meanwhile
  memcpy(nodes, shape->nodes, sizeof nodes);
  for (uint32_t i = 0; i < fields->count; i++) {
    gr_raw_node *node = node_at(t, nodes[i]);
    if (node && get_scalar(d, &node->value, &node->type))
      continue;
    storable object = push_value(d);
    node = object ? node_at(t, nodes[i]) : NULL;
    if (node && gr_raw_store(t, object, &node->value, &node->type)) {
      lua_pop(L, 1);
    } else {
      push_field_name(d, fields, i);
      lua_insert(L, -2);
      lua_rawset(L, -3);
    }
  }
}

static void check_fields(decoder *d, const gr_fields *fields) {
  const unsigned char *at = fields->bytes, *end = at + fields->len;
  for (uint32_t i = 0; i < fields->count; i++, at += 1 + *at)
    if (at >= end || end - at <= *at)
      luaL_error(d->L, "damaged message");
  if (fields->count > GR_SHAPE_FIELDS || at != end)
    luaL_error(d->L, "damaged message");
}

static void fill_fields(decoder *d, gr_raw_table *t, uint32_t count) {
  gr_fields fields = {.count = count};
  get(d, &fields.hash, sizeof fields.hash);
  fields.len = (uint8_t)get_byte(d);
  fields.bytes = d->at;
  need(d, fields.len);
  d->at += fields.len;
  gr_shapes *shapes = t ? gr_shapes_of(d->L) : NULL;
  const gr_shape *shape = shapes ? gr_shapes_find(d->L, shapes, &fields) : NULL;
  if (shape && gr_shape_give(shape, t)) {
    fill_nodes(d, t, shape, &fields);
    return;
  }
  check_fields(d, &fields);
  for (uint32_t i = 0; i < count; i++) {
    push_field_name(d, &fields, i);
    push_value(d);
    lua_rawset(d->L, -3);
  }
}

typedef struct head {
  uint32_t array, hash;
  unsigned flags;
} head;

static head get_head(decoder *d) {
  enum { BYTES = 9 };
  head h;
  need(d, BYTES);
  memcpy(&h.array, d->at, 4);
  memcpy(&h.hash, d->at + 4, 4);
  h.flags = d->at[8];
  d->at += BYTES;
  return h;
}

// Fills the new table on top of the stack.
static storable fill(decoder *d, const head *h) {
  lua_State *L = d->L;
  bool has_metatable = h->flags & GR_TABLE_HAS_METATABLE;
  gr_raw_table *t =
      gr_layout_is_known ? (gr_raw_table *)lua_topointer(L, -1) : NULL;
  if (d->depth > ROOMY_DEPTH)
    luaL_checkstack(L, TABLE_ROOM, "message nested too deeply");
  if (has_metatable) {
    push_value(d);
    if (!lua_istable(L, -1))
      luaL_error(L, "damaged message");
    lua_insert(L, -2); // it is set last: no finalizer sees half a table
  }
  fill_array(d, t, h->array);
  if (h->flags & GR_TABLE_HAS_FIELDS)
    fill_fields(d, t, h->hash);
  for (;;) {
    need(d, 1);
    if (*d->at == GR_TAG_END)
      break;
    push_value(d);
    push_value(d);
    if (lua_isnil(L, -2))
      luaL_error(L, "damaged message");
    lua_rawset(L, -3);
  }
  d->at++;
  if (has_metatable) {
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
  }
  return gr_raw_object_of(t);
}

static int size_hint(decoder *d, uint32_t count) {
  size_t left = (size_t)(d->end - d->at); // an item takes a byte at least
  return (int)(count > left ? left : count);
}

static storable push_table(decoder *d, bool shared) {
  uint32_t object = d->objects++;
  head h = get_head(d);
  lua_createtable(d->L, size_hint(d, h.array), size_hint(d, h.hash));
  if (shared)
    keep(d, object);
  return fill(d, &h);
}

static void join_upvalue(decoder *d, int i) {
  uint32_t object = get_u32(d);
  int index = (int)get_byte(d);
  push_kept(d, object);
  if (!lua_isfunction(d->L, -1) || lua_iscfunction(d->L, -1) ||
      !lua_upvalueid(d->L, -1, index) || !lua_upvalueid(d->L, -2, i))
    luaL_error(d->L, "damaged message");
  lua_upvaluejoin(d->L, -2, i, -1, index);
  lua_pop(d->L, 1);
}

// So many, of the function on top.
static void fill_upvalues(decoder *d, int count) {
  lua_State *L = d->L;
  bool is_c = lua_iscfunction(L, -1);
  for (int i = 1; i <= count; i++) {
    need(d, 1);
    if (!is_c && *d->at == GR_TAG_UPVALUE) {
      d->at++;
      join_upvalue(d, i);
      continue;
    }
    push_value(d);
    if (!lua_setupvalue(L, -2, i))
      luaL_error(L, "damaged message");
  }
}

static void push_lua_function(decoder *d) {
  lua_State *L = d->L;
  uint32_t object = d->objects;
  uint32_t size = get_u32(d);
  need(d, size);
  luaL_checkstack(L, VALUE_ROOM, "message nested too deeply");
  const gr_code *code = object == d->block->code_object ? d->block->code : NULL;
  gr_bytecode bytecode =
      size || !code ? (gr_bytecode){d->at, size} : code->bytecode;
  d->at += size;
  if (code && d->installs && gr_image_take_function(L, code))
    return;
  if (luaL_loadbufferx(L, (const char *)bytecode.bytes, bytecode.len, "=?",
                       "b") != LUA_OK)
    lua_error(L);
}

// Its upvalues may refer to it: they are set afterwards. Returns how many.
static int push_c_closure(decoder *d) {
  lua_CFunction function;
  get(d, &function, sizeof function);
  gr_message_on_c_function(function);
  int count = (int)get_byte(d);
  luaL_checkstack(d->L, count + VALUE_ROOM, "message nested too deeply");
  for (int i = 0; i < count; i++)
    lua_pushnil(d->L);
  lua_pushcclosure(d->L, function, count);
  return count;
}

static void fill_later(decoder *d) {
  luaL_checkstack(d->L, VALUE_ROOM, "message nested too deeply");
  push_kept(d, get_u32(d));
  d->depth++;
  if (lua_isfunction(d->L, -1)) {
    fill_upvalues(d, (int)get_byte(d));
  } else if (lua_istable(d->L, -1)) {
    head h = get_head(d);
    fill(d, &h);
  } else {
    luaL_error(d->L, "damaged message");
  }
  d->depth--;
  lua_pop(d->L, 1);
}

static void fill_laters(decoder *d) {
  for (uint32_t count = get_u32(d); count > 0; count--)
    fill_later(d);
}

// The object on top gets its number.
static void number(decoder *d, bool shared) {
  uint32_t object = d->objects++;
  if (shared)
    keep(d, object);
}

static const char *push_name(decoder *d, size_t *len) {
  push_value(d);
  if (lua_type(d->L, -1) != LUA_TSTRING)
    luaL_error(d->L, "damaged message");
  return lua_tolstring(d->L, -1, len);
}

static void push_module(decoder *d) {
  size_t len;
  const char *name = push_name(d, &len);
  luaL_checkstack(d->L, 8, "message nested too deeply");
  gr_module_push(d->L, name, len);
  lua_remove(d->L, -2);
}

// What calls functions or stays in the state happens only as often as it was
// written: damage does not make it.
static void obey(decoder *d) {
  if (d->effects++ >= d->block->effect_count)
    luaL_error(d->L, "damaged message");
}

// A module that the sender's program made by hand: the receiver's own, if it
// has one, takes the place of the copy.
static void push_added(decoder *d) {
  lua_State *L = d->L;
  luaL_checkstack(L, VALUE_ROOM, "message nested too deeply");
  push_name(d, NULL);
  uint32_t object = d->objects;
  need(d, 1);
  bool shared = (*d->at & GR_TAG_SHARED) != 0;
  if ((*d->at & GR_TAG_MASK) != GR_TAG_TABLE)
    luaL_error(L, "damaged message");
  d->depth--; // it is no deeper than this
  push_value(d);
  d->depth++;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -3); // name, copy, loaded, name
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  } else {
    lua_replace(L, -3); // name, own, loaded
    lua_pop(L, 1);
    if (shared)
      keep(d, object);
  }
  lua_remove(L, -2);
}

static void set_preload(decoder *d) {
  lua_State *L = d->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, VALUE_ROOM, "message nested too deeply");
  push_name(d, NULL);
  push_value(d);
  gr_capture_install(L, GR_CAPTURE_PRELOAD, top + 1);
  lua_settop(L, top);
  install_early(d);
}

static void push_transfer(decoder *d, bool shared) {
  lua_State *L = d->L;
  uint32_t object = d->objects++;
  int count = (int)get_byte(d);
  luaL_checkstack(L, count + VALUE_ROOM, "message nested too deeply");
  for (int i = 0; i < count; i++)
    push_value(d);
  install_early(d);
  if (count == 0 || !lua_isfunction(L, -count))
    luaL_error(L, "damaged message");
  lua_call(L, count - 1, 1);
  if (lua_isnil(L, -1))
    luaL_error(L, "cannot rebuild a value (the function that its __transfer "
                  "gave returned nil)");
  if (shared)
    keep(d, object);
}

static void push_scalar(decoder *d, unsigned tag) {
  lua_Integer integer;
  lua_Number number;
  void *pointer;
  lua_CFunction function;
  switch (tag) {
  case GR_TAG_NIL:
    lua_pushnil(d->L);
    break;
  case GR_TAG_FALSE:
  case GR_TAG_TRUE:
    lua_pushboolean(d->L, tag == GR_TAG_TRUE);
    break;
  case GR_TAG_INTEGER:
    get(d, &integer, sizeof integer);
    lua_pushinteger(d->L, integer);
    break;
  case GR_TAG_FLOAT:
    get(d, &number, sizeof number);
    lua_pushnumber(d->L, number);
    break;
  case GR_TAG_POINTER:
    get(d, &pointer, sizeof pointer);
    lua_pushlightuserdata(d->L, pointer);
    break;
  case GR_TAG_FUNCTION_C:
    get(d, &function, sizeof function);
    gr_message_on_c_function(function);
    lua_pushcfunction(d->L, function);
    break;
  case GR_TAG_GLOBALS:
    lua_pushglobaltable(d->L);
    break;
  default:
    luaL_error(d->L, "damaged message");
  }
}

static storable push_value(decoder *d) {
  unsigned byte = get_byte(d), tag = byte & GR_TAG_MASK;
  bool shared = (byte & GR_TAG_SHARED) != 0;
  if ((shared && !d->kept) || d->depth >= DEPTH_LIMIT)
    luaL_error(d->L, "damaged message");
  d->depth++;
  storable object = NULL;
  uint64_t len;
  int count;
  switch (tag) {
  case GR_TAG_SHORT:
    object = push_string(d, get_byte(d));
    break;
  case GR_TAG_STRING:
    get(d, &len, sizeof len);
    object = push_string(d, len);
    break;
  case GR_TAG_HANDLE:
    push_handle(d);
    break;
  case GR_TAG_MODULE:
    push_module(d);
    break;
  case GR_TAG_ADDED:
    obey(d);
    push_added(d);
    break;
  case GR_TAG_PRELOAD:
    obey(d);
    set_preload(d);
    push_value(d);
    break;
  case GR_TAG_TRANSFER:
    obey(d);
    push_transfer(d, shared);
    break;
  case GR_TAG_TABLE:
    object = push_table(d, shared);
    break;
  case GR_TAG_FUNCTION_LUA:
    push_lua_function(d);
    number(d, shared);
    fill_upvalues(d, (int)get_byte(d));
    break;
  case GR_TAG_CLOSURE:
    count = push_c_closure(d);
    number(d, shared);
    fill_upvalues(d, count);
    break;
  case GR_TAG_TABLE_LATER:
    lua_newtable(d->L);
    number(d, shared);
    break;
  case GR_TAG_FUNCTION_LATER:
    push_lua_function(d);
    number(d, shared);
    break;
  case GR_TAG_CLOSURE_LATER:
    push_c_closure(d);
    number(d, shared);
    break;
  case GR_TAG_REF:
    push_kept(d, get_u32(d));
    break;
  default:
    push_scalar(d, tag);
  }
  d->depth--;
  return object;
}

// --- what came along ---

static void install_next(decoder *d) {
  int top = lua_gettop(d->L);
  unsigned kind = get_byte(d);
  luaL_checkstack(d->L, LUA_MINSTACK, NULL);
  push_name(d, NULL);
  push_value(d);
  fill_laters(d);
  if (d->installs)
    gr_capture_install(d->L, kind, top + 1);
  lua_settop(d->L, top);
}

static void install_early(decoder *d) {
  fill_laters(d);
  for (uint32_t count = get_u32(d); count > 0; count--)
    install_next(d);
}

static int decode(lua_State *L, const gr_block *block, bool installs) {
  decoder d = {.L = L,
               .block = block,
               .at = block->items,
               .end = block->items + block->bytes,
               .installs = installs};
  int base = lua_gettop(L);
  need(&d, block->value_count); // a value takes a byte at least
  if (block->value_count > VALUES_MAX)
    luaL_error(L, "damaged message");
  luaL_checkstack(L, (int)block->value_count + LUA_MINSTACK, NULL);
  if (block->shared_count) {
    lua_newtable(L);
    d.kept = base + 1;
  }
  for (uint32_t i = 0; i < block->setting_count; i++)
    install_next(&d);
  for (uint32_t i = 0; i < block->value_count; i++)
    push_value(&d);
  for (uint32_t i = 0; i < block->later_count; i++)
    fill_later(&d);
  for (uint32_t i = 0; installs && i < block->capture_count; i++)
    install_next(&d);
  if (d.kept)
    lua_remove(L, d.kept);
  return (int)block->value_count;
}

static int decode_protected(lua_State *L) {
  const gr_block *block = lua_touserdata(L, 1);
  bool installs = lua_toboolean(L, 2);
  lua_settop(L, 0);
  return decode(L, block, installs);
}

// The collector rests while a large block is decoded: all that is made is in
// use, and to traverse it again and again takes half of the time. Below pcall,
// so that it goes on after an error.
static int push_all(lua_State *L, const gr_block *block, bool installs) {
  enum { LARGE_BYTES = 32 * 1024 };
  if (block->bytes < LARGE_BYTES || lua_gc(L, LUA_GCISRUNNING) != 1)
    return decode(L, block, installs);
  int base = lua_gettop(L);
  luaL_checkstack(L, 3, NULL);
  lua_gc(L, LUA_GCSTOP);
  lua_pushcfunction(L, decode_protected);
  lua_pushlightuserdata(L, (void *)block);
  lua_pushboolean(L, installs);
  int failed = lua_pcall(L, 2, LUA_MULTRET, 0);
  lua_gc(L, LUA_GCRESTART);
  return failed ? lua_error(L) : lua_gettop(L) - base;
}

static void ignore_code(lua_State *L) {
  (void)L;
}

void (*gr_message_on_code)(lua_State *L) = ignore_code;

gr_image_kind gr_block_needs(const gr_block *block) {
  return block->needs;
}

struct gr_code *gr_block_code(const gr_block *block) {
  return block->code;
}

int gr_block_push(lua_State *L, const gr_block *block) {
  if (block->needs == GR_IMAGE_FULL)
    gr_message_on_code(L);
  return push_all(L, block, false);
}

int gr_block_push_call(lua_State *L, const gr_block *block) {
  return push_all(L, block, true);
}
