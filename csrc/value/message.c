// SPDX-License-Identifier: MIT
#include "value/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "value/block.h"

enum { TYPES_MAX = 64 };
static const gr_handle_type *types[TYPES_MAX];
static unsigned type_count;

void gr_message_add_type(const gr_handle_type *type) {
  for (unsigned i = 0; i < type_count; i++)
    if (types[i] == type)
      return;
  GR_ASSERT(type_count < TYPES_MAX);
  types[type_count++] = type;
}

static uint16_t type_id(const gr_handle_type *type) {
  for (unsigned i = 0; i < type_count; i++)
    if (types[i] == type)
      return (uint16_t)i;
  GR_ASSERT(!"a handle of an unknown type");
  return 0;
}

unsigned gr_block_count(void) {
  return gr_count_sum(GR_COUNT_BLOCKS);
}

static bool borrow_handle(lua_State *L, int index, gr_message *out) {
  gr_handle *handle = gr_handle_get(L, index);
  if (!handle || !handle->object)
    return false;
  gr_handle_share(L, index, handle);
  *out = (gr_message){.kind = GR_MESSAGE_HANDLE,
                      .view = (uint8_t)handle->view,
                      .type_id = type_id(handle->type),
                      .pointer = handle->object};
  return true;
}

bool gr_message_borrow(lua_State *L, int index, gr_message *out) {
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    *out = (gr_message){.kind = GR_MESSAGE_NIL};
    return true;
  case LUA_TBOOLEAN:
    *out = (gr_message){.kind = lua_toboolean(L, index) ? GR_MESSAGE_TRUE
                                                        : GR_MESSAGE_FALSE};
    return true;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index))
      *out = (gr_message){.kind = GR_MESSAGE_INTEGER,
                          .integer = lua_tointeger(L, index)};
    else
      *out = (gr_message){.kind = GR_MESSAGE_FLOAT,
                          .number = lua_tonumber(L, index)};
    return true;
  case LUA_TLIGHTUSERDATA:
    *out = (gr_message){.kind = GR_MESSAGE_POINTER,
                        .pointer = lua_touserdata(L, index)};
    return true;
  case LUA_TUSERDATA:
    return borrow_handle(L, index, out);
  default:
    return false;
  }
}

void gr_message_encode(lua_State *L, int index, gr_message *out) {
  if (gr_message_borrow(L, index, out)) {
    if (out->kind == GR_MESSAGE_HANDLE)
      types[out->type_id]->retain(out->pointer);
    return;
  }
  gr_block *block = gr_block_encode_plain(L, index, 1);
  if (!block) {
    lua_pushvalue(L, index);
    block = gr_block_encode_any(L, 1, GR_VALUES_SENT);
  }
  *out = (gr_message){.kind = GR_MESSAGE_BLOCK, .block = block};
}

static int push_block(lua_State *L) {
  const gr_block *block = lua_touserdata(L, 1);
  return gr_block_push(L, block);
}

static void push_and_release(lua_State *L, gr_block *block) {
  lua_pushcfunction(L, push_block);
  lua_pushlightuserdata(L, block);
  int failed = lua_pcall(L, 1, 1, 0);
  gr_block_release(block);
  if (failed)
    lua_error(L);
}

// From a copy on the stack, which may be left by an error. Not much of that: it
// is to be in one page.
enum { SMALL_BYTES = 256 };
static GR_NOINLINE void release_and_push(lua_State *L, gr_block *block) {
  union {
    gr_block block;
    unsigned char bytes[sizeof(gr_block) + SMALL_BYTES];
  } copy;
  size_t from = offsetof(gr_block, value_count); // others may count references
  memcpy(copy.bytes + from, (const char *)block + from,
         sizeof *block - from + block->bytes);
  gr_block_release(block);
  gr_block_push(L, &copy.block);
}

// Without handles, effects and code, which are the block's.
static bool is_small(const gr_block *block) {
  return block->bytes <= SMALL_BYTES && block->handle_count == 0 &&
         block->effect_count == 0 && !block->code;
}

void gr_message_push(lua_State *L, gr_message *message) {
  gr_message m = *message;
  message->kind = GR_MESSAGE_NIL;
  switch (m.kind) {
  case GR_MESSAGE_NIL:
    lua_pushnil(L);
    break;
  case GR_MESSAGE_FALSE:
  case GR_MESSAGE_TRUE:
    lua_pushboolean(L, m.kind == GR_MESSAGE_TRUE);
    break;
  case GR_MESSAGE_INTEGER:
    lua_pushinteger(L, m.integer);
    break;
  case GR_MESSAGE_FLOAT:
    lua_pushnumber(L, m.number);
    break;
  case GR_MESSAGE_POINTER:
    lua_pushlightuserdata(L, m.pointer);
    break;
  case GR_MESSAGE_HANDLE:
    gr_handle_push(L, types[m.type_id], m.pointer, m.view);
    break;
  case GR_MESSAGE_BLOCK:
    if (is_small(m.block))
      release_and_push(L, m.block);
    else
      push_and_release(L, m.block);
    break;
  }
}

void gr_message_drop(gr_message *message) {
  if (message->kind == GR_MESSAGE_HANDLE)
    types[message->type_id]->release(message->pointer);
  else if (message->kind == GR_MESSAGE_BLOCK)
    gr_block_release(message->block);
  message->kind = GR_MESSAGE_NIL;
}

gr_message gr_message_copy(const gr_message *message) {
  if (message->kind == GR_MESSAGE_HANDLE)
    types[message->type_id]->retain(message->pointer);
  else if (message->kind == GR_MESSAGE_BLOCK)
    gr_block_retain(message->block);
  return *message;
}

// --- comparing ---

bool gr_message_is_string(const gr_message *message, const char *bytes,
                          size_t len) {
  if (message->kind != GR_MESSAGE_BLOCK)
    return false;
  const unsigned char *item = message->block->items;
  uint64_t item_len;
  if (item[0] == GR_TAG_SHORT) {
    item_len = item[1];
    item += 2;
  } else if (item[0] == GR_TAG_STRING) {
    memcpy(&item_len, item + 1, sizeof item_len);
    item += 1 + sizeof item_len;
  } else {
    return false;
  }
  return item_len == len && !memcmp(item, bytes, len);
}

static bool is_same_number(int64_t integer, double number) {
  return number >= -0x1p63 && number < 0x1p63 && (int64_t)number == integer &&
         (double)(int64_t)number == number;
}

bool gr_message_equal(const gr_message *a, const gr_message *b) {
  if (a->kind == GR_MESSAGE_FLOAT && b->kind == GR_MESSAGE_INTEGER)
    return is_same_number(b->integer, a->number);
  if (a->kind == GR_MESSAGE_INTEGER && b->kind == GR_MESSAGE_FLOAT)
    return is_same_number(a->integer, b->number);
  if (a->kind != b->kind)
    return false;
  switch (a->kind) {
  case GR_MESSAGE_INTEGER:
    return a->integer == b->integer;
  case GR_MESSAGE_FLOAT:
    return a->number == b->number;
  case GR_MESSAGE_POINTER:
    return a->pointer == b->pointer;
  case GR_MESSAGE_HANDLE:
    return a->pointer == b->pointer && a->type_id == b->type_id &&
           a->view == b->view;
  default:
    return a->kind != GR_MESSAGE_BLOCK;
  }
}

// --- what they hold ---

void gr_message_each_handle(const gr_message *message,
                            void (*visit)(void *arg, const gr_handle_type *type,
                                          void *object),
                            void *arg) {
  if (message->kind == GR_MESSAGE_HANDLE)
    visit(arg, types[message->type_id], message->pointer);
  if (message->kind != GR_MESSAGE_BLOCK ||
      atomic_load(&message->block->refs.count) != 1)
    return;
  const gr_block *block = message->block;
  for (uint32_t i = 0; i < block->handle_count; i++)
    if (!block->handles[i].is_owner)
      visit(arg, block->handles[i].type, block->handles[i].object);
}

// Small ones, which most are, in the least of these sizes.
enum { SIZES = 3, SIZE_MIN = 128 };
_Static_assert(GR_SHELF_BLOCKS + SIZES == GR_SHELF_BLOCKS_END, "each has one");
static gr_cache caches[SIZES] = {
    GR_CACHE(GR_SHELF_BLOCKS, SIZE_MIN, 16384),
    GR_CACHE(GR_SHELF_BLOCKS + 1, SIZE_MIN * 2, 16384),
    GR_CACHE(GR_SHELF_BLOCKS + 2, SIZE_MIN * 4, 16384),
};

// Of blocks of so many bytes; NULL for what is larger.
static gr_cache *cache_of(size_t bytes) {
  for (int i = 0; i < SIZES; i++)
    if (bytes <= caches[i].bytes)
      return &caches[i];
  return NULL;
}

gr_block *gr_block_new(size_t bytes) {
  size_t all = sizeof(gr_block) + bytes;
  gr_cache *cache = cache_of(all);
  gr_block *block = cache ? gr_cache_get(cache) : malloc(all);
  if (block)
    block->room = cache ? cache->bytes - sizeof *block : bytes;
  return block;
}

gr_block *gr_block_retain(gr_block *block) {
  gr_refs_retain(&block->refs);
  return block;
}

void gr_block_disown(gr_block *block, void *object) {
  for (uint32_t i = 0; i < block->handle_count; i++) {
    gr_block_handle *handle = &block->handles[i];
    if (handle->object != object || handle->is_owner)
      continue;
    handle->is_owner = true;
    handle->type->release(object); // the owner has another reference
  }
}

void gr_block_release(gr_block *block) {
  if (!block || !gr_refs_release(&block->refs))
    return;
  for (uint32_t i = 0; i < block->handle_count; i++)
    if (!block->handles[i].is_owner)
      block->handles[i].type->release(block->handles[i].object);
  if (GR_UNLIKELY(block->handles != NULL))
    free(block->handles);
  size_t bytes = sizeof *block + block->room;
  gr_cache *cache = cache_of(bytes);
  if (GR_LIKELY(cache && cache->bytes == bytes))
    gr_cache_put(cache, block);
  else
    free(block);
  gr_count(GR_COUNT_BLOCKS, -1);
}
