// SPDX-License-Identifier: MIT
// Shared maps. Values are encoded before an operation and decoded after it;
// what an operation has replaced is dropped once it is over.
#include <math.h>
#include <stdlib.h>

#include "lib/lib.h"
#include "sync/map_table.h"

static void open_type(lua_State *L);

const gr_handle_type gr_map_type = {"goroutines.map", gr_object_retain,
                                    gr_object_release, open_type};

static void open_items(lua_State *L);

static const gr_handle_type items_type = {
    "goroutines.map.items", gr_object_retain, gr_object_release, open_items};

static int map_new(lua_State *L) {
  gr_arg_count(L, 0, "map");
  gr_handle *handle = gr_handle_new(L, &gr_map_type);
  return gr_sync_set(L, handle, gr_map_new());
}

// --- keys ---

// As tables do: a float that has an integer's value is that integer.
static bool normalize(gr_message *m) {
  if (m->kind != GR_MESSAGE_FLOAT)
    return m->kind != GR_MESSAGE_NIL;
  lua_Integer integer;
  if (isnan(m->number))
    return false;
  if (lua_numbertointeger(m->number, &integer) &&
      (lua_Number)integer == m->number)
    *m = (gr_message){.kind = GR_MESSAGE_INTEGER, .integer = integer};
  return true;
}

// The key at index 2, which stays valid as long as the value is there.
static gr_map_key check_key(lua_State *L, const gr_map *m, const char *name) {
  gr_map_key key = {.scalar = {.kind = GR_MESSAGE_NIL}};
  if (lua_type(L, 2) == LUA_TSTRING)
    key.bytes = lua_tolstring(L, 2, &key.len);
  else if (lua_type(L, 2) == LUA_TNUMBER && isnan(lua_tonumber(L, 2)))
    gr_arg_error(L, 1, name, "a key that is not a number (NaN)");
  else if (!gr_message_borrow(L, 2, &key.scalar) || !normalize(&key.scalar))
    gr_arg_type_error(L, 2, 1, name,
                      "string, number, boolean, light userdata or handle");
  gr_map_key_init(m, &key);
  return key;
}

static void push_name(lua_State *L, const gr_map_name *name) {
  if (name->scalar.kind == GR_MESSAGE_NIL) {
    lua_pushlstring(L, name->bytes, name->len);
    return;
  }
  gr_message copy = gr_message_copy(&name->scalar);
  gr_message_push(L, &copy);
}

// --- operations ---

// True when the operation is to be done again; raises if it cannot be done. The
// caller holds nothing.
static bool again(lua_State *L, gr_status status, const char *name) {
  if (status == GR_RECURSIVE)
    luaL_error(L,
               "bad call of '%s' (it uses a key in the function that "
               "updates this key)",
               name);
  return status != GR_OK && gr_wait_again(L, status);
}

static int map_get(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "get");
  gr_arg_count(L, 2, "get");
  gr_map_key key = check_key(L, m, "get");
  gr_message value;
  gr_status status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_map_get(m, &key, &value);
    gr_leave();
  } while (again(L, status, "get"));
  gr_message_push(L, &value);
  return 1;
}

// Sets the key at 2 to the value at 3.
static int put(lua_State *L, gr_map *m, const char *name) {
  gr_map_key key = check_key(L, m, name);
  gr_message value;
  gr_status status;
  gr_wait_point(L);
  do {
    gr_message_encode(L, 3, &value);
    gr_enter();
    status = gr_map_set(m, &key, &value);
    gr_leave();
    gr_message_drop(&value); // what is ours: the old one, or that not set
  } while (again(L, status, name));
  return 0;
}

static int map_set(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "set");
  gr_arg_count(L, 3, "set");
  check_key(L, m, "set");
  if (lua_isnone(L, 3))
    gr_arg_error(L, 2, "set", "value expected; nil deletes");
  return put(L, m, "set");
}

static int map_delete(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "delete");
  gr_arg_count(L, 2, "delete");
  lua_pushnil(L);
  lua_insert(L, 3);
  return put(L, m, "delete");
}

// The value at index 3, which must be one that can be compared.
static gr_map_key check_old(lua_State *L, const char *name) {
  gr_map_key old = {.scalar = {.kind = GR_MESSAGE_NIL}};
  if (lua_type(L, 3) == LUA_TSTRING)
    old.bytes = lua_tolstring(L, 3, &old.len);
  else if (!gr_message_borrow(L, 3, &old.scalar))
    gr_arg_type_error(L, 3, 2, name,
                      "nil, boolean, number, string, light userdata or handle");
  return old;
}

static int map_compare_and_swap(lua_State *L) {
  static const char *const name = "compare_and_swap";
  gr_map *m = gr_arg_self(L, &gr_map_type, name);
  gr_arg_count(L, 4, name);
  lua_settop(L, 4);
  gr_map_key key = check_key(L, m, name), old = check_old(L, name);
  gr_message value;
  bool done = false;
  gr_status status;
  gr_wait_point(L);
  do {
    gr_message_encode(L, 4, &value);
    gr_enter();
    status = gr_map_swap(m, &key, &old, &value, &done);
    gr_leave();
    gr_message_drop(&value);
  } while (again(L, status, name));
  lua_pushboolean(L, done);
  return 1;
}

static int map_len(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "len");
  gr_enter();
  uint64_t count = gr_map_count(m);
  gr_leave();
  lua_pushinteger(L, (lua_Integer)count);
  return 1;
}

// --- updates ---

// The function has not returned.
static void leave_update(lua_State *L, gr_scope *scope, int err) {
  (void)L;
  (void)err;
  gr_map_entry *entry = scope->object;
  scope->object = NULL;
  gr_enter();
  gr_map_abort(entry);
  gr_leave();
}

// Takes the key for the scope, and pushes its value.
static void begin(lua_State *L, gr_map *m, gr_map_key *key, gr_scope *scope) {
  gr_map_entry *entry;
  gr_message old;
  gr_status status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = gr_map_begin(m, key, &entry, &old);
    gr_leave();
  } while (again(L, status, "update"));
  scope->object = entry;
  gr_message_push(L, &old);
}

// Sets the value on top, which stays.
static void commit(lua_State *L, gr_scope *scope) {
  gr_message value;
  gr_message_encode(L, -1, &value);
  gr_map_entry *entry = scope->object;
  scope->object = NULL;
  gr_enter();
  gr_map_commit(entry, &value);
  gr_leave();
  gr_message_drop(&value);
}

// map, key, f -> f's result
static int map_update(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "update");
  gr_arg_count(L, 3, "update");
  gr_map_key key = check_key(L, m, "update");
  gr_arg_function(L, 3, 2, "update");
  gr_scope *scope = gr_scope_open(L, leave_update); // the key is at 3 now
  begin(L, m, &key, scope);
  lua_call(L, 1, 1);
  commit(L, scope);
  return 1;
}

// --- all of them ---

// What a shard had when it was looked at, to be given one by one.
typedef struct items {
  gr_object object;
  gr_map *map; // with a reference
  unsigned next_shard;
  gr_map_item *list;
  uint32_t next, count;
} items;

// A loop over them may be left early, or fail.
static void items_fini(void *object) {
  items *i = object;
  gr_map_items_free(i->list, i->next, i->count);
  gr_object_release(i->map);
}

static void open_items(lua_State *L) {
  gr_handle_register(L, &items_type);
  lua_pop(L, 1);
}

static items *push_items(lua_State *L, gr_map *m) {
  gr_handle *handle = gr_handle_new(L, &items_type);
  items *i = gr_object_new(sizeof *i, items_fini);
  if (!i)
    luaL_error(L, "not enough memory");
  gr_object_retain(m);
  i->map = m;
  gr_handle_set(L, handle, i, 0);
  return i;
}

// The next item, which is the caller's to release; false at the end.
static bool take_item(lua_State *L, items *i, bool with_values,
                      gr_map_item *out) {
  while (i->next == i->count) {
    free(i->list);
    i->list = NULL;
    i->next = i->count = 0;
    if (i->next_shard == GR_MAP_SHARDS)
      return false;
    gr_enter();
    bool done =
        gr_map_items(i->map, i->next_shard++, with_values, &i->list, &i->count);
    gr_leave();
    if (!done) {
      i->count = 0;
      luaL_error(L, "not enough memory");
    }
  }
  *out = i->list[i->next++];
  return true;
}

// item (light userdata) -> key, value
static int push_item(lua_State *L) {
  gr_map_item *item = lua_touserdata(L, 1);
  push_name(L, item->name);
  gr_message_push(L, &item->value);
  return 2;
}

// Pushes key and value of the next; false at the end.
static bool push_next(lua_State *L, items *i, bool with_values) {
  gr_map_item item;
  if (!take_item(L, i, with_values, &item))
    return false;
  lua_pushcfunction(L, push_item);
  lua_pushlightuserdata(L, &item);
  int failed = lua_pcall(L, 1, 2, 0);
  gr_map_name_release(item.name);
  gr_message_drop(&item.value);
  if (failed)
    lua_error(L);
  return true;
}

static int map_keys(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "keys");
  gr_arg_count(L, 1, "keys");
  items *i = push_items(L, m);
  lua_newtable(L);
  for (lua_Integer n = 1; push_next(L, i, false); n++) {
    lua_pop(L, 1);
    lua_rawseti(L, -2, n);
  }
  return 1;
}

static int next_pair(lua_State *L) {
  gr_handle *handle = lua_touserdata(L, lua_upvalueindex(1));
  gr_arg_runtime(L, "pairs");
  return push_next(L, handle->object, true) ? 2 : 0;
}

static int map_pairs(lua_State *L) {
  gr_map *m = gr_arg_self(L, &gr_map_type, "pairs");
  push_items(L, m);
  lua_pushcclosure(L, next_pair, 1);
  return 1;
}

static const luaL_Reg methods[] = {
    {"get", map_get},
    {"set", map_set},
    {"delete", map_delete},
    {"update", map_update},
    {"compare_and_swap", map_compare_and_swap},
    {"keys", map_keys},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__len", map_len}, {"__pairs", map_pairs}, {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_map_type, methods, meta);
  gr_scope_register(L);
}

void gr_lib_map(lua_State *L) {
  lua_pushcfunction(L, map_new);
  lua_setfield(L, -2, "map");
}
