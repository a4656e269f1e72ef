// SPDX-License-Identifier: MIT
#include "value/memo.h"

#include <lauxlib.h>
#include <string.h>

#include "value/layout.h"
#include "value/notes.h"

enum {
  PLACES = 64,          // a power of two
  NEAR = 4,             // places in which a prototype may be
  BYTES_MAX = 8 * 1024, // of bytecode
  WORDS = 4,            // of a closure with one upvalue, before that
};

// Where a table has a short string as its key, unless it has been changed
// since.
typedef struct spot {
  const void *key;
  uint32_t node;
} spot;

// From the registry on, each in the one before; the last three in `package`.
enum { LOADED, PACKAGE, PATH, CPATH, SEARCHERS, USUAL_PLACES };
static const char *const usual_keys[USUAL_PLACES] = {
    LUA_LOADED_TABLE, "package", "path", "cpath", "searchers"};

typedef struct usual {
  bool is_noted;
  spot places[USUAL_PLACES];
  const void *values[GR_MEMO_USUAL]; // path, cpath, searchers
} usual;

// In the registry: false, true after the first function; then a userdata, which
// has lists as user values: by place, the closures, weak, and the memos; and
// what is usual.
struct gr_memory {
  const void *prototypes[PLACES];
  gr_memo *memos[PLACES];
  const gr_raw_table *closures; // the list
  unsigned turn; // which of the places near is given to another one
  usual usual;
};

enum { CLOSURES = 1, MEMOS, USUAL, USER_VALUES = USUAL };

static const char memory_key;
static size_t prototype_at; // which word of a closure; 0: not known

// --- finding out ---

static bool are_same(const uintptr_t words[][WORDS], int word) {
  return words[0][word] == words[1][word] && words[0][word] == words[2][word];
}

// Closures of two functions, three of each.
static int learn(lua_State *L) {
  static const char text[] =
      "local function a(i) return function() return i end end\n"
      "local function b(i) return function() return i, i end end\n"
      "return a(1), a(2), a(3), b(1), b(2), b(3)";
  uintptr_t words[6][WORDS];
  int found = 0, count = 0;
  if (luaL_loadstring(L, text) != LUA_OK)
    lua_error(L);
  lua_call(L, 0, 6);
  for (int i = 0; i < 6; i++)
    memcpy(words[i], lua_topointer(L, i + 1), sizeof words[i]);
  for (int word = 1; word < WORDS; word++)
    if (are_same(words, word) && are_same(words + 3, word) && words[0][word] &&
        words[3][word] && words[0][word] != words[3][word]) {
      found = word;
      count++;
    }
  prototype_at = count == 1 ? (size_t)found : 0;
  return 0;
}

void gr_memo_learn(void) {
  lua_State *L = luaL_newstate();
  if (!L)
    return;
  lua_gc(L, LUA_GCSTOP, 0);
  lua_pushcfunction(L, learn);
  lua_pcall(L, 0, 0, 0);
  lua_close(L);
}

static const void *prototype_of(lua_State *L, int function) {
  return ((const void *const *)lua_topointer(L, function))[prototype_at];
}

static unsigned near(const void *prototype, unsigned i) {
  uint64_t hash = (uint64_t)(uintptr_t)prototype * 0x9E3779B97F4A7C15u;
  return (unsigned)((hash >> 32) + i) % PLACES;
}

// PLACES for none.
static unsigned find(const gr_memory *m, const void *prototype) {
  for (unsigned i = 0; i < NEAR; i++)
    if (m->prototypes[near(prototype, i)] == prototype)
      return near(prototype, i);
  return PLACES;
}

static unsigned find_room(gr_memory *m, const void *prototype) {
  unsigned place = find(m, prototype);
  for (unsigned i = 0; place == PLACES && i < NEAR; i++)
    if (!m->prototypes[near(prototype, i)])
      place = near(prototype, i);
  return place < PLACES ? place : near(prototype, m->turn++ % NEAR);
}

// --- the memory ---

static gr_memory *memory_of(lua_State *L) {
  const gr_notes *notes = gr_notes_find(L);
  return notes ? notes->memory : NULL;
}

gr_memo *gr_memo_find(lua_State *L, int function) {
  const gr_memory *m = memory_of(L);
  unsigned at = m ? find(m, prototype_of(L, function)) : PLACES;
  return at < PLACES && !gr_raw_is_nil(m->closures->items[at].type)
             ? m->memos[at]
             : NULL;
}

void gr_memo_push_lists(lua_State *L, const gr_memo *memo) {
  int top = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &memory_key);
  lua_getiuservalue(L, top + 1, MEMOS);
  lua_rawgeti(L, top + 2, (lua_Integer)memo->place + 1);
  lua_getiuservalue(L, top + 3, 1);
  lua_replace(L, top + 1);
  lua_getiuservalue(L, top + 3, 2);
  lua_replace(L, top + 2);
  lua_settop(L, top + 2);
}

void gr_memo_open(lua_State *L) {
  lua_pushboolean(L, false);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &memory_key);
}

static void push_memory(lua_State *L) {
  gr_memory *m = lua_newuserdatauv(L, sizeof *m, USER_VALUES);
  memset(m, 0, sizeof *m);
  lua_createtable(L, PLACES, 0);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  m->closures = lua_topointer(L, -1);
  lua_setiuservalue(L, -2, CLOSURES);
  lua_createtable(L, PLACES, 0);
  lua_setiuservalue(L, -2, MEMOS);
  gr_notes *notes = gr_notes_of(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &memory_key);
  notes->memory = m;
}

static void set_entry(lua_State *L, int index, int list, unsigned place) {
  lua_getiuservalue(L, index, list);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)place + 1);
  lua_pop(L, 1);
}

static bool is_empty(lua_State *L, int list) {
  return lua_rawlen(L, list) == 0;
}

void gr_memo_note(lua_State *L, int function, gr_bytecode code, gr_memo memo) {
  int top = lua_gettop(L);
  if (!prototype_at || !gr_layout_is_known || code.len > BYTES_MAX)
    return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  bool is_there =
      lua_rawgetp(L, LUA_REGISTRYINDEX, &memory_key) == LUA_TUSERDATA;
  if (!is_there && lua_toboolean(L, -1)) {
    push_memory(L);
  } else if (!is_there) {
    lua_pushboolean(L, true);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &memory_key);
  }
  gr_memory *m = lua_touserdata(L, -1);
  if (m) {
    int index = lua_gettop(L);
    unsigned place = find_room(m, prototype_of(L, function));
    m->prototypes[place] = NULL; // until all of it is there
    gr_memo *kept = lua_newuserdatauv(L, sizeof *kept + code.len, 2);
    *kept = memo;
    kept->place = place;
    kept->has_lists = !is_empty(L, top - 1) || !is_empty(L, top);
    kept->len = code.len;
    memcpy(kept->bytecode, code.bytes, code.len);
    for (int list = 1; list <= 2; list++) {
      lua_pushvalue(L, top - 2 + list);
      lua_setiuservalue(L, -2, list);
    }
    set_entry(L, index, MEMOS, place);
    m->memos[place] = kept;
    lua_pushvalue(L, function);
    set_entry(L, index, CLOSURES, place);
    m->prototypes[place] = prototype_of(L, function);
  }
  lua_settop(L, top);
}

// --- what is usual ---

static const gr_raw_node *get(const gr_raw_table *t, spot at) {
  if (at.node >= gr_raw_node_count(t))
    return NULL;
  const gr_raw_node *node = &t->nodes[at.node];
  return node->key_type == GR_RAW_SHORT_STRING && node->key.object == at.key
             ? node
             : NULL;
}

static const gr_raw_table *get_table(const gr_raw_table *t, spot at) {
  const gr_raw_node *node = get(t, at);
  return node && node->type == GR_RAW_TABLE ? node->value.object : NULL;
}

static bool is_string(const gr_raw_node *node) {
  return node && (node->type == GR_RAW_SHORT_STRING ||
                  node->type == GR_RAW_LONG_STRING);
}

enum { PATHS = GR_MEMO_USUAL - GR_SEARCHERS };

// A list of so many functions and nothing else.
static bool are_searchers(const gr_raw_table *t) {
  uint32_t size = gr_raw_size(t);
  if (size < GR_SEARCHERS || t->last_free)
    return false;
  for (uint32_t i = 0; i < size; i++)
    if ((t->items[i].type & GR_RAW_TYPE) !=
        (i < GR_SEARCHERS ? LUA_TFUNCTION : LUA_TNIL))
      return false;
  return true;
}

static const gr_raw_table *package_of(lua_State *L, const usual *u) {
  const gr_raw_table *t =
      get_table(lua_topointer(L, LUA_REGISTRYINDEX), u->places[LOADED]);
  return t ? get_table(t, u->places[PACKAGE]) : NULL;
}

// What package has; false if that is not all of the right kind.
static bool get_values(const gr_raw_table *package, const usual *u,
                       const void *values[GR_MEMO_USUAL]) {
  const gr_raw_node *path = get(package, u->places[PATH]);
  const gr_raw_node *cpath = get(package, u->places[CPATH]);
  const gr_raw_table *t = get_table(package, u->places[SEARCHERS]);
  if (!is_string(path) || !is_string(cpath) || !t || !are_searchers(t))
    return false;
  values[0] = path->value.object;
  values[1] = cpath->value.object;
  for (int i = 0; i < GR_SEARCHERS; i++)
    values[PATHS + i] = t->items[i].value.object;
  return true;
}

bool gr_memo_is_usual(lua_State *L) {
  const gr_memory *m = memory_of(L);
  const void *values[GR_MEMO_USUAL];
  if (!m || !m->usual.is_noted)
    return false;
  const usual *u = &m->usual;
  const gr_raw_table *package = package_of(L, u);
  return package && get_values(package, u, values) &&
         !memcmp(values, u->values, sizeof values);
}

static bool find_key(const gr_raw_table *t, spot *at) {
  uint32_t count = gr_raw_node_count(t);
  for (at->node = 0; at->node < count; at->node++)
    if (get(t, *at))
      return true;
  return false;
}

// Finds all of it; false if it is not as it has to be for that.
static bool find_usual(lua_State *L, usual *u) {
  const gr_raw_table *t = lua_topointer(L, LUA_REGISTRYINDEX);
  for (int i = LOADED; i <= PACKAGE; i++)
    if (!find_key(t, &u->places[i]) || !(t = get_table(t, u->places[i])))
      return false;
  for (int i = PATH; i <= SEARCHERS; i++)
    if (!find_key(t, &u->places[i]))
      return false;
  return get_values(t, u, u->values);
}

// A finalizer may have changed them since they were pushed.
static bool are_on_stack(lua_State *L, int first, const usual *u) {
  for (int i = 0; i < GR_MEMO_USUAL; i++)
    if (u->values[i] != lua_topointer(L, first + i))
      return false;
  return true;
}

void gr_memo_note_usual(lua_State *L, int first) {
  gr_memory *m = memory_of(L);
  if (!m)
    return;
  int top = lua_gettop(L);
  usual u = {.is_noted = false};
  lua_createtable(L, USUAL_PLACES + GR_MEMO_USUAL, 0);
  for (int i = 0; i < USUAL_PLACES; i++) {
    lua_pushstring(L, usual_keys[i]);
    u.places[i].key = lua_topointer(L, -1);
    lua_rawseti(L, top + 1, i + 1);
  }
  for (int i = 0; i < GR_MEMO_USUAL; i++) {
    lua_pushvalue(L, first + i);
    lua_rawseti(L, top + 1, USUAL_PLACES + i + 1);
  }
  u.is_noted = find_usual(L, &u) && are_on_stack(L, first, &u);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &memory_key);
  lua_insert(L, top + 1);
  m->usual.is_noted = false;
  lua_setiuservalue(L, top + 1, USUAL);
  m->usual = u;
  lua_settop(L, top);
}
