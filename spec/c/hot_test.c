// SPDX-License-Identifier: MIT
// What a function is about to use of its state's memory is found: the function,
// its upvalues, the table that it reads a field of, the field and its name. And
// wherever a wait may be, what is found lies within the state's memory, once.
//
// The state is alone in a piece of memory, as a copy of an image is.
#include "value/hot.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "test.h"
#include "value/layout.h"

enum { BYTES = 512 * 1024, ROUND = 16 };

static _Alignas(GR_LINE_BYTES) char memory[BYTES];
static size_t used;
static size_t told_bytes; // that are told to be the state's
static gr_lines lines;
static unsigned waits;
static const char unused_key;

// Nothing is used again.
static void *allocate(void *unused, void *old, size_t osize, size_t bytes) {
  (void)unused;
  if (bytes == 0)
    return NULL;
  if (old && bytes <= osize)
    return old;
  size_t rounded = (bytes + ROUND - 1) / ROUND * ROUND;
  if (rounded > BYTES - used)
    return NULL;
  void *block = memory + used;
  used += rounded;
  if (old)
    memcpy(block, old, osize);
  return block;
}

static bool has(const void *at) {
  size_t line = (size_t)((const char *)at - memory) / GR_LINE_BYTES;
  for (unsigned i = 0; i < atomic_load(&lines.count); i++)
    if (atomic_load(&lines.at[i]) == line)
      return true;
  return false;
}

static void check_lines(void) {
  unsigned count = atomic_load(&lines.count);
  CHECK(count <= GR_LINES_MAX);
  for (unsigned i = 0; i < count; i++) {
    size_t line = atomic_load(&lines.at[i]);
    CHECK(line * GR_LINE_BYTES < told_bytes);
    for (unsigned k = 0; k < i; k++)
      CHECK(atomic_load(&lines.at[k]) != line);
  }
}

static int wait(lua_State *L) {
  atomic_store(&lines.count, 0);
  gr_hot_find(L, memory, told_bytes, &lines);
  check_lines();
  waits++;
  return 0;
}

static const gr_raw_node *node_of(const gr_raw_table *t, const char *name) {
  for (unsigned i = 0; i < gr_raw_node_count(t); i++) {
    const gr_raw_string *key = t->nodes[i].key.object;
    if (t->nodes[i].key_type == GR_RAW_SHORT_STRING &&
        !strcmp(key->bytes, name))
      return &t->nodes[i];
  }
  return NULL;
}

// Called by a function whose upvalues are this one, and a table whose field
// `often` it reads; the table, and a userdata with a method `ask`, are globals.
static int wait_and_check(lua_State *L) {
  lua_Debug ar;
  wait(L);
  CHECK(lua_getstack(L, 1, &ar) && lua_getinfo(L, "f", &ar));
  int f = lua_gettop(L);
  CHECK(has(L) && has(lua_topointer(L, f)));
  for (int i = 1; i <= 2; i++)
    CHECK(has(lua_upvalueid(L, f, i)));
  lua_getglobal(L, "shared");
  const gr_raw_table *t = lua_topointer(L, -1);
  const gr_raw_node *node = node_of(t, "often");
  CHECK(node && has(t) && has(node));
  CHECK(has(&((const gr_raw_string *)node->key.object)->hash));
  lua_getglobal(L, "asked");
  lua_getmetatable(L, -1);
  CHECK(has(lua_topointer(L, -2)) && has(lua_topointer(L, -1)));
  lua_getfield(L, -1, "__index");
  CHECK(has(node_of(lua_topointer(L, -1), "ask")));
  lua_rawgetp(L, LUA_REGISTRYINDEX, &unused_key);
  CHECK(!has(lua_topointer(L, -1)));
  return 0;
}

static int new_userdata(lua_State *L) {
  lua_newuserdatauv(L, 16, 0);
  lua_insert(L, 1);
  lua_setmetatable(L, 1);
  return 1;
}

static void run(lua_State *L, const char *text) {
  lua_gc(L, LUA_GCSTOP); // all that is made stays
  if (luaL_dostring(L, text)) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    CHECK(false);
  }
}

// Where it is, nothing but how much is told changes what can be read.
static void run_anywhere(void (*what)(lua_State *L)) {
  static const size_t told[] = {BYTES, BYTES / 2, 16 * 1024, 4096};
  for (int i = 0; i < 4; i++) {
    memset(memory, 0, used);
    used = 0;
    told_bytes = told[i];
    waits = 0;
    lua_State *L = lua_newstate(allocate, NULL);
    luaL_openlibs(L);
    lua_register(L, "wait", wait);
    lua_register(L, "wait_and_check", wait_and_check);
    lua_register(L, "new_userdata", new_userdata);
    what(L);
    CHECK(waits > 0);
    lua_close(L);
  }
}

// Far from all else.
static void add_unused(lua_State *L) {
  for (int i = 0; i < 64; i++) {
    lua_newtable(L);
    if (i == 32)
      lua_rawsetp(L, LUA_REGISTRYINDEX, &unused_key);
    else
      lua_pop(L, 1);
  }
}

static void test_found(lua_State *L) {
  lua_gc(L, LUA_GCSTOP);
  add_unused(L);
  if (told_bytes < BYTES)
    wait(L);
  else
    run(L, "shared = { often = 1, seldom = 2, never = 3 }\n"
           "asked = new_userdata({ __index = { ask = wait } })\n"
           "local wait, shared = wait_and_check, shared\n"
           "local function f(a)\n"
           "  local n = shared.often\n"
           "  a:ask()\n"
           "  wait()\n"
           "  return n\n"
           "end\n"
           "f(asked)");
}

static void test_odd(lua_State *L) {
  static const char *const odd[] = {
      "wait()",
      "local wait = wait; (function(...) wait(...) end)(1, nil, {}, 'x')",
      "local function deep(n) if n == 0 then wait() else deep(n - 1) end end\n"
      "deep(150)",
      "coroutine.wrap(function() wait() coroutine.yield() end)()",
      "pcall(pcall, wait)",
      "local t = setmetatable({}, { __index = function() wait() end })\n"
      "local _ = t.x",
      "local t = setmetatable({}, { __gc = wait })\n"
      "t = nil collectgarbage() collectgarbage() wait()",
      "debug.sethook(wait, 'l')\nlocal x = 1\ndebug.sethook()",
      "string.gsub('abc', '%w', function() wait() end)",
      "table.sort({ 3, 2, 1 }, function(a, b) wait() return a < b end)",
      "local t = { [1.5] = 1, [true] = 2, [print] = 3 }\n"
      "for _ in pairs(t) do t.x = nil wait() end",
      "local t = {} for i = 1, 40 do t['k' .. i] = i end\n"
      "for i = 1, 40 do t['k' .. i] = nil end wait() t.k1 = wait wait()",
  };
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
    run(L, odd[i]);
  // Many of everything.
  run(L,
      "local text = {}\n"
      "for i = 1, 150 do text[#text + 1] = 'local v' .. i .. ' = ' .. i end\n"
      "text[#text + 1] = 'local t, wait = {}, wait; return function()'\n"
      "for i = 1, 150 do\n"
      "  text[#text + 1] = 'local w' .. i .. ' = t.f' .. i .. ' or \"s' .. i\n"
      "    .. '\"'\n"
      "end\n"
      "for i = 1, 60 do text[#text + 1] = 'v' .. i .. ' = v' .. i .. ' + 1' "
      "end\n"
      "text[#text + 1] = 'wait() end'\n"
      "load(table.concat(text, '\\n'))()()");
}

int main(void) {
  limit_time(60);
  gr_layout_learn();
  CHECK(gr_layout_is_known);
  run_anywhere(test_found);
  run_anywhere(test_odd);
  puts("hot: ok");
}
