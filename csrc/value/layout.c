// SPDX-License-Identifier: MIT
#include "value/layout.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

bool gr_layout_is_known;

// The newest blocks of a state.
enum { BLOCKS = 8 };
typedef struct recorder {
  struct {
    const void *at;
    size_t bytes;
  } blocks[BLOCKS];
  unsigned count;
} recorder;

static void *record(void *arg, void *old, size_t old_bytes, size_t bytes) {
  recorder *r = arg;
  (void)old_bytes;
  for (unsigned i = 0; i < BLOCKS; i++)
    if (r->blocks[i].at == old)
      r->blocks[i].at = NULL;
  if (bytes == 0) {
    free(old);
    return NULL;
  }
  void *block = realloc(old, bytes);
  r->blocks[r->count % BLOCKS].at = block;
  r->blocks[r->count++ % BLOCKS].bytes = bytes;
  return block;
}

static bool is_block(const recorder *r, const void *at, size_t bytes) {
  for (unsigned i = 0; i < BLOCKS; i++)
    if (r->blocks[i].at == at && r->blocks[i].bytes == bytes)
      return true;
  return false;
}

// --- that pointers are where they should be ---

static bool are_tables_known(lua_State *L, const recorder *r) {
  enum { ITEMS = 3, LOG_NODES = 2, NODES = 1 << LOG_NODES };
  lua_createtable(L, ITEMS, NODES);
  const gr_raw_table *t = lua_topointer(L, -1);
  if (!is_block(r, t, sizeof *t) || t->limit != ITEMS ||
      t->log_nodes != LOG_NODES || (t->flags & GR_RAW_IS_HINT) ||
      t->metatable || !is_block(r, t->items, ITEMS * sizeof(gr_raw_item)) ||
      !is_block(r, t->nodes, NODES * sizeof(gr_raw_node)))
    return false;
  lua_createtable(L, 0, 0);
  const gr_raw_table *empty = lua_topointer(L, -1);
  if (t->last_free != t->nodes + NODES || empty->last_free)
    return false;
  lua_setmetatable(L, -2);
  return t->metatable == empty &&
         (t->type | GR_RAW_COLLECTABLE) == GR_RAW_TABLE;
}

// In a generation that is old, all are black.
static bool are_colors_known(lua_State *L) {
  lua_createtable(L, 0, 0);
  const gr_raw_table *old = lua_topointer(L, -1);
  lua_gc(L, LUA_GCGEN, 0, 0);
  lua_createtable(L, 0, 0);
  const gr_raw_table *new = lua_topointer(L, -1);
  bool known = (old->color & GR_RAW_BLACK) && !(new->color &GR_RAW_BLACK);
  lua_gc(L, LUA_GCINC, 0, 0, 0);
  return known && !(old->color & GR_RAW_BLACK);
}

static bool are_strings_known(lua_State *L, const recorder *r) {
  char text[100];
  memset(text, 'x', sizeof text);
  for (size_t len = 20; len <= sizeof text; len += 80) {
    const char *bytes = lua_pushlstring(L, text, len);
    const gr_raw_string *s =
        (const void *)(bytes - offsetof(gr_raw_string, bytes));
    if (!is_block(r, s, sizeof *s + len + 1) ||
        (len < 40 ? s->short_len : s->long_len) != len ||
        (s->type | GR_RAW_COLLECTABLE) !=
            (len < 40 ? GR_RAW_SHORT_STRING : GR_RAW_LONG_STRING) ||
        lua_topointer(L, -1) != s)
      return false;
  }
  return true;
}

static bool are_userdata_known(lua_State *L, const recorder *r) {
  enum { BYTES = 24 };
  unsigned char *bytes = lua_newuserdatauv(L, BYTES, 0);
  const gr_raw_userdata *u =
      (const void *)(bytes - offsetof(gr_raw_userdata, bytes));
  if (!is_block(r, u, sizeof *u + BYTES) || u->len != BYTES ||
      u->user_values != 0)
    return false;
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 1);
  const gr_raw_table *t = lua_topointer(L, -1);
  return t->items[0].type == GR_RAW_USERDATA && t->items[0].value.object == u;
}

// --- that values are what they should be ---

static bool is_value(lua_State *L, int index, gr_raw value, unsigned type) {
  const gr_raw_string *s = value.object;
  size_t len;
  switch (type) {
  case GR_RAW_FALSE:
  case GR_RAW_TRUE:
    return lua_isboolean(L, index) &&
           lua_toboolean(L, index) == (type == GR_RAW_TRUE);
  case GR_RAW_POINTER:
    return lua_islightuserdata(L, index) &&
           lua_touserdata(L, index) == value.pointer;
  case GR_RAW_INTEGER:
    return lua_isinteger(L, index) && lua_tointeger(L, index) == value.integer;
  case GR_RAW_FLOAT:
    return lua_type(L, index) == LUA_TNUMBER && !lua_isinteger(L, index) &&
           lua_tonumber(L, index) == value.number;
  case GR_RAW_SHORT_STRING:
  case GR_RAW_LONG_STRING:
    return lua_type(L, index) == LUA_TSTRING &&
           lua_tolstring(L, index, &len) == s->bytes &&
           len == (type == GR_RAW_LONG_STRING ? s->long_len : s->short_len);
  case GR_RAW_TABLE:
    return lua_istable(L, index) && lua_topointer(L, index) == value.object;
  case GR_RAW_USERDATA:
    return lua_type(L, index) == LUA_TUSERDATA;
  default:
    return false;
  }
}

// What is there is what lua_next gives of the table on top, in the same order.
static bool is_as_traversed(lua_State *L) {
  int table = lua_gettop(L);
  const gr_raw_table *t = lua_topointer(L, table);
  lua_pushnil(L);
  for (uint32_t i = 0; i < gr_raw_size(t); i++) {
    gr_raw key = {.integer = (lua_Integer)i + 1};
    const gr_raw_item *item = &t->items[i];
    if (gr_raw_is_nil(item->type))
      continue;
    if (!lua_next(L, table) || !is_value(L, table + 1, key, GR_RAW_INTEGER) ||
        !is_value(L, table + 2, item->value, item->type))
      return false;
    lua_pop(L, 1);
  }
  for (uint32_t i = 0; i < gr_raw_node_count(t); i++) {
    const gr_raw_node *node = &t->nodes[i];
    if (gr_raw_is_nil(node->type))
      continue;
    if (!lua_next(L, table) ||
        !is_value(L, table + 1, node->key, node->key_type) ||
        !is_value(L, table + 2, node->value, node->type))
      return false;
    lua_pop(L, 1);
  }
  return !lua_next(L, table);
}

// Tables of many shapes: sequences and fields that grew, shrank, have holes,
// were measured.
static const char SHAPES[] =
    "local pointer, userdata = ...\n"
    "local long = 'a string of more bytes than those that are kept once only'\n"
    "local some = { 1, 2.5, false, true, 'short', long, pointer, {}, "
    "userdata,\n"
    "  2^53, -1, '', 0.0 }\n"
    "local all, n = { some }, 1\n"
    "for count = 1, 19, 3 do\n"
    "  for gap = 1, 3 do\n"
    "    local t, u = {}, { 1, 2, 3, 4, 5, 6, 7 }\n"
    "    for i = 1, count do\n"
    "      local value = some[i * gap % #some + 1]\n"
    "      t[i], u[value], u[-i] = value, i, value\n"
    "      if gap > 1 and i % gap == 0 then t[i - 1], u[i - 1] = nil, nil end\n"
    "    end\n"
    "    for i = count, count - gap, -1 do\n"
    "      t[i] = nil\n"
    "      local length = #t + #u\n"
    "    end\n"
    "    all[n + 1], all[n + 2] = t, u\n"
    "    n = n + 2\n"
    "  end\n"
    "end\n"
    "return all\n";

static bool are_shapes_known(lua_State *L) {
  if (luaL_loadstring(L, SHAPES) != LUA_OK)
    lua_error(L);
  lua_pushlightuserdata(L, L);
  lua_newuserdatauv(L, 1, 0);
  lua_call(L, 2, 1);
  int all = lua_gettop(L), count = (int)lua_rawlen(L, all);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, all, i);
    if (!is_as_traversed(L))
      return false;
    lua_settop(L, all);
  }
  return count > 0;
}

static int learn(lua_State *L) {
  const recorder *r = lua_touserdata(L, 1);
  gr_layout_is_known = are_tables_known(L, r) && are_strings_known(L, r) &&
                       are_userdata_known(L, r) && are_colors_known(L) &&
                       are_shapes_known(L);
  return 0;
}

void gr_layout_learn(void) {
  recorder r = {.count = 0};
  lua_State *L = lua_newstate(record, &r);
  if (!L)
    return;
  lua_gc(L, LUA_GCSTOP, 0);
  lua_pushcfunction(L, learn);
  lua_pushlightuserdata(L, &r);
  lua_pcall(L, 1, 0, 0);
  lua_close(L);
}

void gr_reserve_field(lua_State *L, const char *name) {
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, name);
  lua_pushnil(L);
  lua_setfield(L, -2, name);
}
