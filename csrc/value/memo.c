// SPDX-License-Identifier: MIT
#include "value/memo.h"

#include <lauxlib.h>
#include <string.h>

enum {
  PLACES = 64,          // a power of two
  NEAR = 4,             // places in which a prototype may be
  BYTES_MAX = 8 * 1024, // of bytecode
  WORDS = 4,            // of a closure with one upvalue, before that
};

// In the registry: false, true after the first function; then a userdata, whose
// user values are lists by place: of closures, weak, and of memos; and the list
// of what is usual.
typedef struct memory {
  const void *prototypes[PLACES];
  unsigned turn; // which of the places near is given to another one
  const void *usual[GR_MEMO_USUAL];
} memory;

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
static unsigned find(const memory *m, const void *prototype) {
  for (unsigned i = 0; i < NEAR; i++)
    if (m->prototypes[near(prototype, i)] == prototype)
      return near(prototype, i);
  return PLACES;
}

static unsigned find_room(memory *m, const void *prototype) {
  unsigned place = find(m, prototype);
  for (unsigned i = 0; place == PLACES && i < NEAR; i++)
    if (!m->prototypes[near(prototype, i)])
      place = near(prototype, i);
  return place < PLACES ? place : near(prototype, m->turn++ % NEAR);
}

// --- the memory ---

// Pushes an entry of one of its lists; the memory is at the index.
static int push_entry(lua_State *L, int index, int list, unsigned place) {
  lua_getiuservalue(L, index, list);
  int type = lua_rawgeti(L, -1, (lua_Integer)place + 1);
  lua_remove(L, -2);
  return type;
}

gr_memo *gr_memo_find(lua_State *L, int function) {
  int top = lua_gettop(L);
  if (!prototype_at)
    return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &memory_key);
  const memory *m = lua_touserdata(L, -1);
  unsigned place = m ? find(m, prototype_of(L, function)) : PLACES;
  if (place == PLACES || push_entry(L, top + 1, CLOSURES, place) == LUA_TNIL) {
    lua_settop(L, top);
    return NULL;
  }
  push_entry(L, top + 1, MEMOS, place);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return lua_touserdata(L, top + 1);
}

void gr_memo_open(lua_State *L) {
  lua_pushboolean(L, false);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &memory_key);
}

static void push_memory(lua_State *L) {
  memory *m = lua_newuserdatauv(L, sizeof *m, USER_VALUES);
  *m = (memory){.turn = 0};
  lua_createtable(L, PLACES, 0);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_setiuservalue(L, -2, CLOSURES);
  lua_createtable(L, PLACES, 0);
  lua_setiuservalue(L, -2, MEMOS);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &memory_key);
}

static void set_entry(lua_State *L, int index, int list, unsigned place) {
  lua_getiuservalue(L, index, list);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)place + 1);
  lua_pop(L, 1);
}

void gr_memo_note(lua_State *L, int function, gr_bytecode code, gr_memo memo) {
  int top = lua_gettop(L);
  if (!prototype_at || code.len > BYTES_MAX)
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
  memory *m = lua_touserdata(L, -1);
  if (m) {
    int index = lua_gettop(L);
    unsigned place = find_room(m, prototype_of(L, function));
    m->prototypes[place] = NULL; // until all of it is there
    gr_memo *kept = lua_newuserdatauv(L, sizeof *kept + code.len, 2);
    *kept = memo;
    kept->len = code.len;
    memcpy(kept->bytecode, code.bytes, code.len);
    for (int list = 1; list <= 2; list++) {
      lua_pushvalue(L, top - 2 + list);
      lua_setiuservalue(L, -2, list);
    }
    set_entry(L, index, MEMOS, place);
    lua_pushvalue(L, function);
    set_entry(L, index, CLOSURES, place);
    m->prototypes[place] = prototype_of(L, function);
  }
  lua_settop(L, top);
}

// --- what is usual ---

bool gr_memo_are_usual(lua_State *L, int first) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &memory_key);
  const memory *m = lua_touserdata(L, -1);
  lua_pop(L, 1);
  for (int i = 0; m && i < GR_MEMO_USUAL; i++)
    if (!m->usual[i] || m->usual[i] != lua_topointer(L, first + i))
      return false;
  return m != NULL;
}

void gr_memo_note_usual(lua_State *L, int first) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &memory_key);
  memory *m = lua_touserdata(L, -1);
  if (m) {
    lua_createtable(L, GR_MEMO_USUAL, 0);
    for (int i = 0; i < GR_MEMO_USUAL; i++) {
      lua_pushvalue(L, first + i);
      lua_rawseti(L, -2, i + 1);
      m->usual[i] = lua_topointer(L, first + i);
    }
    lua_setiuservalue(L, -2, USUAL);
  }
  lua_pop(L, 1);
}
