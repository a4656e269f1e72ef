// SPDX-License-Identifier: MIT
#include "value/shape.h"

#include <lauxlib.h>
#include <string.h>

#include "value/notes.h"

enum { PLACES = 16 };

// In the registry, from the second table on: a userdata, whose user value is a
// list of the shapes by place, userdata with their models.
struct gr_shapes {
  struct place {
    const gr_shape *shape;
    uint64_t other; // hash of the last that was not it
  } places[PLACES];
};

static const char shapes_key;

void gr_shapes_forget(lua_State *L) {
  gr_notes *notes = gr_notes_find(L);
  if (notes) {
    notes->shapes = NULL;
    notes->has_met_fields = false;
  }
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shapes_key);
}

gr_shapes *gr_shapes_of(lua_State *L) {
  gr_notes *notes = gr_notes_of(L);
  if (notes->shapes)
    return notes->shapes;
  if (!notes->has_met_fields) {
    notes->has_met_fields = true;
    return NULL;
  }
  gr_shapes *shapes = lua_newuserdatauv(L, sizeof *shapes, 1);
  *shapes = (gr_shapes){.places = {{NULL, 0}}};
  lua_createtable(L, PLACES, 0);
  lua_setiuservalue(L, -2, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shapes_key);
  notes->shapes = shapes;
  return shapes;
}

// --- making one ---

static int node_of(const gr_raw_table *t, const void *key) {
  for (uint32_t i = 0; i < gr_raw_node_count(t); i++)
    if (!gr_raw_is_nil(t->nodes[i].type) && t->nodes[i].key.object == key)
      return (int)i;
  return -1;
}

// Pushes a table with the fields, and their names. False if they are damaged.
static bool push_model(lua_State *L, const gr_fields *fields) {
  const unsigned char *at = fields->bytes, *end = at + fields->len;
  lua_createtable(L, 0, (int)fields->count);
  int model = lua_gettop(L);
  for (uint32_t i = 0; i < fields->count; i++) {
    if (at == end || end - at - 1 < *at)
      return false;
    lua_pushlstring(L, (const char *)at + 1, *at);
    at += 1 + *at;
    lua_pushvalue(L, -1);
    lua_pushboolean(L, false);
    lua_rawset(L, model);
  }
  return at == end;
}

// Pushes the shape, but if the fields are damaged.
static const gr_shape *make(lua_State *L, const gr_fields *fields) {
  int model = lua_gettop(L) + 1;
  luaL_checkstack(L, GR_SHAPE_FIELDS + LUA_MINSTACK, NULL);
  if (fields->count > GR_SHAPE_FIELDS || !push_model(L, fields))
    return NULL;
  gr_shape *shape = lua_newuserdatauv(L, sizeof *shape + fields->len, 1);
  *shape = (gr_shape){.model = lua_topointer(L, model),
                      .hash = fields->hash,
                      .count = fields->count,
                      .len = fields->len};
  memcpy(shape->bytes, fields->bytes, fields->len);
  for (uint32_t i = 0; i < fields->count; i++) {
    int node = node_of(shape->model, lua_topointer(L, model + 1 + (int)i));
    if (node < 0 || node > UINT8_MAX)
      return NULL;
    shape->nodes[i] = (uint8_t)node;
  }
  lua_pushvalue(L, model);
  lua_setiuservalue(L, -2, 1);
  return shape;
}

static void replace(lua_State *L, gr_shapes *shapes, unsigned place,
                    const gr_fields *fields) {
  int top = lua_gettop(L);
  const gr_shape *shape = make(L, fields);
  if (shape) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &shapes_key);
    lua_getiuservalue(L, -1, 1);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, (lua_Integer)place + 1);
    shapes->places[place].shape = shape;
  }
  lua_settop(L, top);
}

static bool has(const gr_shape *shape, const gr_fields *fields) {
  return shape && shape->hash == fields->hash &&
         shape->count == fields->count && shape->len == fields->len &&
         !memcmp(shape->bytes, fields->bytes, fields->len);
}

// A shape gives way to another one that comes twice in a row.
const gr_shape *gr_shapes_find(lua_State *L, gr_shapes *shapes,
                               const gr_fields *fields) {
  unsigned i = fields->hash % PLACES;
  struct place *place = &shapes->places[i];
  if (!has(place->shape, fields)) {
    bool again = place->other == fields->hash;
    place->other = fields->hash;
    if (!again)
      return NULL;
    replace(L, shapes, i, fields);
    if (!has(place->shape, fields))
      return NULL;
  }
  place->other = 0;
  return place->shape;
}

bool gr_shape_give(const gr_shape *shape, gr_raw_table *t) {
  const gr_raw_table *model = shape->model;
  if (t->color & GR_RAW_BLACK || !t->last_free ||
      t->log_nodes != model->log_nodes)
    return false;
  memcpy(t->nodes, model->nodes, gr_raw_node_count(t) * sizeof *t->nodes);
  t->flags &= GR_RAW_IS_HINT; // it may have metamethods now
  return true;
}
