// SPDX-License-Identifier: MIT
// Plain data: tables without metatables, of numbers, strings, booleans, handles
// and other such tables. Most messages are that, and take a fraction of the
// time when the tables are read where they lie (see layout.h), in the order of
// lua_next. Nothing of Lua runs meanwhile, so that nothing changes them.
#include <string.h>

#include "value/encoder.h"
#include "value/layout.h"
#include "value/shape.h"

static bool put_tag(gr_encoder *e, int tag) {
  unsigned char *at = gr_encoder_try_reserve(e, 1);
  if (!at)
    return false;
  *at = (unsigned char)tag;
  return true;
}

static bool put_scalar(gr_encoder *e, int tag, gr_raw value) {
  return gr_encoder_try_put_tagged(e, tag, &value, sizeof value);
}

// As memcpy, for a few bytes.
static void copy_short(unsigned char *to, const char *from, size_t len) {
  if (len > 16) {
    memcpy(to, from, len);
  } else if (len >= 8) {
    memcpy(to, from, 8);
    memcpy(to + len - 8, from + len - 8, 8);
  } else if (len >= 4) {
    memcpy(to, from, 4);
    memcpy(to + len - 4, from + len - 4, 4);
  } else if (len > 0) {
    to[0] = (unsigned char)from[0];
    to[len / 2] = (unsigned char)from[len / 2];
    to[len - 1] = (unsigned char)from[len - 1];
  }
}

bool gr_encoder_try_put_string(gr_encoder *e, const char *bytes, size_t len) {
  enum { SHORT_MAX = 255 };
  uint64_t long_len = len;
  unsigned char *at;
  if (len <= SHORT_MAX) {
    if (!(at = gr_encoder_try_reserve(e, 2 + len)))
      return false;
    *at++ = GR_TAG_SHORT;
    *at++ = (unsigned char)len;
    copy_short(at, bytes, len);
  } else {
    if (!(at = gr_encoder_try_reserve(e, 1 + sizeof long_len + len)))
      return false;
    *at++ = GR_TAG_STRING;
    memcpy(at, &long_len, sizeof long_len);
    memcpy(at + sizeof long_len, bytes, len);
  }
  return true;
}

static bool put_userdata(gr_encoder *e, const gr_raw_userdata *u) {
  const gr_handle *handle = (const void *)u->bytes;
  return u->user_values == 0 && u->len == sizeof *handle &&
         handle->mark == gr_handle_mark && handle->object &&
         handle->is_listed && gr_encoder_try_put_handle(e, handle);
}

static bool put_table(gr_encoder *e, const gr_raw_table *t, int depth);

static bool put_value(gr_encoder *e, gr_raw value, unsigned type, int depth) {
  const gr_raw_string *s = value.object;
  switch (type) {
  case GR_RAW_FALSE:
    return put_tag(e, GR_TAG_FALSE);
  case GR_RAW_TRUE:
    return put_tag(e, GR_TAG_TRUE);
  case GR_RAW_INTEGER:
    return put_scalar(e, GR_TAG_INTEGER, value);
  case GR_RAW_FLOAT:
    return put_scalar(e, GR_TAG_FLOAT, value);
  case GR_RAW_POINTER:
    return put_scalar(e, GR_TAG_POINTER, value);
  case GR_RAW_SHORT_STRING:
    return gr_encoder_try_put_string(e, s->bytes, s->short_len);
  case GR_RAW_LONG_STRING:
    return gr_encoder_try_put_string(e, s->bytes, s->long_len);
  case GR_RAW_TABLE:
    return put_table(e, value.object, depth);
  case GR_RAW_USERDATA:
    return put_userdata(e, value.object);
  default:
    return false;
  }
}

// What goes by a name, or in another way.
static bool is_special(const gr_encoder *e, const gr_raw_table *t) {
  size_t len;
  return t->metatable || t == e->globals ||
         (e->home && gr_image_name(e->home, t, &len)) ||
         (e->filter && gr_modules_may_have_table(e->filter, t));
}

typedef struct head {
  uint32_t array, hash;
  uint8_t flags;
} head;

static uint32_t count_numbers(const gr_raw_item *items, uint32_t size) {
  uint32_t n = 0;
  while (n < size &&
         (items[n].type == GR_RAW_INTEGER || items[n].type == GR_RAW_FLOAT))
    n++;
  return n;
}

static bool put_numbers(gr_encoder *e, const gr_raw_item *items,
                        uint32_t count) {
  enum { BYTES = 1 + sizeof(gr_raw) };
  unsigned char *at = gr_encoder_try_reserve(e, (size_t)count * BYTES);
  if (!at)
    return false;
  for (uint32_t i = 0; i < count; i++, at += BYTES) {
    *at = items[i].type == GR_RAW_INTEGER ? GR_TAG_INTEGER : GR_TAG_FLOAT;
    memcpy(at + 1, &items[i].value, sizeof items[i].value);
  }
  return true;
}

// The sequence, and what follows it in the array part.
static bool put_items(gr_encoder *e, const gr_raw_table *t, head *h,
                      int depth) {
  uint32_t size = gr_raw_size(t), i = 0;
  while (i < size && !gr_raw_is_nil(t->items[i].type)) {
    const gr_raw_item *item = &t->items[i];
    uint32_t numbers = count_numbers(item, size - i);
    if (numbers ? !put_numbers(e, item, numbers)
                : !put_value(e, item->value, item->type, depth))
      return false;
    i += numbers ? numbers : 1;
  }
  h->array = i;
  for (; i < size; i++) {
    const gr_raw_item *item = &t->items[i];
    gr_raw key = {.integer = (lua_Integer)i + 1};
    if (gr_raw_is_nil(item->type))
      continue;
    if (!put_scalar(e, GR_TAG_INTEGER, key) ||
        !put_value(e, item->value, item->type, depth))
      return false;
    h->hash++;
  }
  return true;
}

static bool take_back(gr_encoder *e, size_t len) {
  e->len = len;
  return true;
}

// The names at once; nothing if there are none, too many, or keys of another
// kind.
static bool put_fields(gr_encoder *e, const gr_raw_table *t, head *h) {
  uint64_t hash;
  size_t before = e->len, from = before + sizeof hash + 1;
  uint32_t fields = 0;
  if (!gr_encoder_try_reserve(e, sizeof hash + 1))
    return false;
  const gr_raw_node *end = t->nodes + gr_raw_node_count(t);
  for (const gr_raw_node *node = t->nodes; node < end; node++) {
    const gr_raw_string *s = node->key.object;
    if (gr_raw_is_nil(node->type))
      continue;
    if (node->key_type != GR_RAW_SHORT_STRING || ++fields > GR_SHAPE_FIELDS)
      return take_back(e, before);
    unsigned char *name = gr_encoder_try_reserve(e, 1 + (size_t)s->short_len);
    if (!name)
      return false;
    *name = s->short_len;
    copy_short(name + 1, s->bytes, s->short_len);
  }
  size_t len = e->len - from;
  if (len == 0 || len > GR_SHAPE_BYTES)
    return take_back(e, before);
  hash = gr_fields_hash(e->items + from, len);
  memcpy(e->items + before, &hash, sizeof hash);
  e->items[from - 1] = (unsigned char)len;
  h->flags |= GR_TABLE_HAS_FIELDS;
  return true;
}

static bool put_nodes(gr_encoder *e, const gr_raw_table *t, head *h,
                      int depth) {
  if (h->hash == 0 && !put_fields(e, t, h))
    return false;
  const gr_raw_node *end = t->nodes + gr_raw_node_count(t);
  for (const gr_raw_node *node = t->nodes; node < end; node++) {
    if (gr_raw_is_nil(node->type))
      continue;
    if (!(h->flags & GR_TABLE_HAS_FIELDS) &&
        !put_value(e, node->key, node->key_type, depth))
      return false;
    if (!put_value(e, node->value, node->type, depth))
      return false;
    h->hash++;
  }
  return true;
}

static bool put_content(gr_encoder *e, const gr_raw_table *t, int depth) {
  head h = {0};
  size_t at = e->len, bytes = offsetof(head, flags) + sizeof h.flags;
  if (!gr_encoder_try_reserve(e, bytes) || !put_items(e, t, &h, depth) ||
      !put_nodes(e, t, &h, depth))
    return false;
  memcpy(&e->items[at], &h, bytes);
  return put_tag(e, GR_TAG_END);
}

static bool put_table(gr_encoder *e, const gr_raw_table *t, int depth) {
  if (depth >= GR_DEPTH_MAX || is_special(e, t))
    return false;
  gr_seen *entry = gr_encoder_try_see(e, t);
  if (!entry)
    return false;
  if (entry->key) {
    gr_encoder_mark_shared(e, entry);
    return gr_encoder_try_put_tagged(e, GR_TAG_REF, &entry->object,
                                     sizeof entry->object);
  }
  gr_encoder_note(e, entry, t, e->len, e->objects++, 0);
  return put_tag(e, GR_TAG_TABLE) && put_content(e, t, depth + 1);
}

// Before the first table. False: there can be none.
static bool find_special(gr_encoder *e) {
  if (!gr_layout_is_known)
    return false;
  gr_encoder_find_globals(e);
  return gr_modules_have_filter(e->L, e->home, &e->filter);
}

static bool put_root(gr_encoder *e, int index) {
  lua_State *L = e->L;
  gr_handle *handle;
  size_t len;
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    return put_tag(e, GR_TAG_NIL);
  case LUA_TBOOLEAN:
    return put_tag(e, lua_toboolean(L, index) ? GR_TAG_TRUE : GR_TAG_FALSE);
  case LUA_TNUMBER:
    if (lua_isinteger(L, index))
      return put_scalar(e, GR_TAG_INTEGER,
                        (gr_raw){.integer = lua_tointeger(L, index)});
    return put_scalar(e, GR_TAG_FLOAT,
                      (gr_raw){.number = lua_tonumber(L, index)});
  case LUA_TLIGHTUSERDATA:
    return put_scalar(e, GR_TAG_POINTER,
                      (gr_raw){.pointer = lua_touserdata(L, index)});
  case LUA_TSTRING: {
    const char *bytes = lua_tolstring(L, index, &len);
    return gr_encoder_try_put_string(e, bytes, len);
  }
  case LUA_TUSERDATA:
    handle = gr_handle_get(L, index);
    return handle && handle->object && handle->is_listed &&
           gr_encoder_try_put_handle(e, handle);
  case LUA_TTABLE:
    return (e->globals || find_special(e)) &&
           put_table(e, lua_topointer(L, index), 1);
  default:
    return false;
  }
}

bool gr_plain_put(gr_encoder *e, int first, int count) {
  for (int i = first; i < first + count; i++)
    if (!put_root(e, i))
      return false;
  return true;
}
