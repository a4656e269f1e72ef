// SPDX-License-Identifier: MIT
// Plain data, written and read where Lua has it, is what it is by the API: the
// same random values are encoded both ways and decoded both ways, in a state
// that collects garbage all the time, and compared there. The same SEED makes
// the same values, but for the order of keys.
#include <lauxlib.h>
#include <lualib.h>

#include "test.h"
#include "value/block.h"
#include "value/layout.h"
#include "value/memo.h"

static const char generator[] =
    "local seed = ...\n"
    "math.randomseed(seed)\n"
    "local random, left, pool, make = math.random, 0, {}, nil\n"
    "local names = { '__index', '__gc', '__mode', '__len', '__close' }\n"
    "for i = 1, 60 do names[#names + 1] = ('n'):rep(i % 43) .. i end\n"
    "local shapes = {}\n"
    "for i = 1, 30 do\n"
    "  local shape = {}\n"
    "  for j = 1, i % 5 == 0 and random(36) or random(0, 6) do\n"
    "    shape[j] = names[random(#names)]\n"
    "  end\n"
    "  shapes[i] = shape\n"
    "end\n"
    "local function record(depth)\n"
    "  local t = {}\n"
    "  pool[#pool + 1] = t\n"
    "  for _, name in ipairs(shapes[random(random(#shapes))]) do\n"
    "    t[name] = make(depth + 1)\n"
    "  end\n"
    "  if random(3) == 1 then\n"
    "    for i = 1, random(0, 9) do t[i] = make(depth + 1) end\n"
    "  end\n"
    "  if random(9) == 1 then t[random(12)] = make(depth + 1) end\n"
    "  if random(9) == 1 then t[random() * 9] = make(depth + 1) end\n"
    "  if random(9) == 1 then t[next(t) or 1] = nil end\n"
    "  if random(9) == 1 then t[#t] = nil end\n"
    "  return t\n"
    "end\n"
    "function make(depth)\n"
    "  left = left - 1\n"
    "  local kind = random(10)\n"
    "  if kind == 1 and pool[1] then return pool[random(#pool)] end\n"
    "  if kind == 2 then return random(2) == 1 end\n"
    "  if kind == 3 then return random() - 0.5 end\n"
    "  if kind <= 5 then return random(0) >> random(64) end\n"
    "  if kind <= 7 then return names[random(#names)] end\n"
    "  if kind == 8 then return ('x'):rep(random(300)) end\n"
    "  return left > 0 and depth < 20 and record(depth) or 0\n"
    "end\n"
    "return function()\n"
    "  left, pool = 2 ^ random(0, 8), {}\n"
    "  return record(1)\n"
    "end\n";

// Equal in content and in sharing; and it goes on as a table of Lua's does.
static const char comparer[] =
    "local function same(a, b, seen)\n"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then\n"
    "    return math.type(a) == math.type(b) and a == b\n"
    "  end\n"
    "  if seen[a] then return seen[a] == b end\n"
    "  seen[a] = b\n"
    "  for k in next, b do\n"
    "    if a[k] == nil then return false end\n"
    "  end\n"
    "  for k, v in next, a do\n"
    "    if not same(v, b[k], seen) then return false end\n"
    "  end\n"
    "  return true\n"
    "end\n"
    "local function use(t, seen)\n"
    "  if type(t) ~= 'table' or seen[t] then return end\n"
    "  seen[t] = true\n"
    "  for k, v in next, t do use(v, seen) end\n"
    "  local length = #t\n"
    "  for i = 1, 5 do t['new' .. i] = i end\n"
    "  for i = 1, 5 do t[length + i] = { i } end\n"
    "  for i = 1, 5 do\n"
    "    assert(t['new' .. i] == i and t[length + i][1] == i)\n"
    "    t['new' .. i] = nil\n"
    "  end\n"
    "end\n"
    "local function meta(t)\n"
    "  local index = t.__index\n"
    "  if type(index) ~= 'table' then return true end\n"
    "  t.__gc, t.__close, t.__mode, t.__len = nil, nil, nil, nil\n"
    "  local key, value = next(index)\n"
    "  return key == nil or rawequal(setmetatable({}, t)[key],\n"
    "    value)\n"
    "end\n"
    "return function(...)\n"
    "  local all = { ... }\n"
    "  for i = 2, #all do\n"
    "    assert(same(all[1], all[i], {}), 'other content')\n"
    "    assert(same(all[i], all[1], {}), 'other content')\n"
    "  end\n"
    "  for _, t in ipairs(all) do\n"
    "    assert(meta(t), 'no metamethod')\n"
    "    use(t, {})\n"
    "  end\n"
    "end\n";

static lua_State *open_with(const char *chunk, unsigned long argument) {
  lua_State *L = luaL_newstate();
  CHECK(L);
  luaL_openlibs(L);
  CHECK(luaL_loadstring(L, chunk) == LUA_OK);
  lua_pushinteger(L, (lua_Integer)argument);
  CHECK(lua_pcall(L, 1, 1, 0) == LUA_OK);
  return L;
}

static void check(lua_State *L, int status) {
  if (status != LUA_OK)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  CHECK(status == LUA_OK);
}

static gr_block *encode_by(lua_State *L, int value, bool plain) {
  gr_layout_is_known = plain;
  lua_pushvalue(L, value);
  gr_block *block = gr_block_encode(L, 1, GR_VALUES_SENT);
  gr_layout_is_known = true;
  return block;
}

static void push_by(lua_State *L, gr_block *block, bool plain) {
  gr_layout_is_known = plain;
  gr_message m = {.kind = GR_MESSAGE_BLOCK, .block = gr_block_retain(block)};
  gr_message_push(L, &m);
  gr_layout_is_known = true;
}

static void collect_often(lua_State *L, unsigned long round) {
  switch (round % 3) {
  case 0:
    lua_gc(L, LUA_GCGEN, 1, 1);
    break;
  case 1:
    lua_gc(L, LUA_GCINC, 100, 1000, 1); // steps as small as can be
    break;
  default:
    lua_gc(L, LUA_GCINC, 100, 100, 13);
  }
}

static void compare(lua_State *sender, lua_State *receiver) {
  lua_pushvalue(sender, 1);
  check(sender, lua_pcall(sender, 0, 1, 0));
  gr_block *one = encode_by(sender, 2, true);
  gr_block *other = encode_by(sender, 2, false);
  lua_settop(sender, 1);
  lua_pushvalue(receiver, 1);
  for (int i = 0; i < 4; i++) // the second time, fields may be known
    push_by(receiver, one, true);
  push_by(receiver, one, false);
  push_by(receiver, other, true);
  push_by(receiver, other, false);
  check(receiver, lua_pcall(receiver, 7, 0, 0));
  gr_block_release(one);
  gr_block_release(other);
}

// However many tables there are: written with their fields at once.
static void check_many(lua_State *sender) {
  check(sender,
        luaL_dostring(sender, "local all = {}\n"
                              "for i = 1, 5000 do all[i] = { id = i } end\n"
                              "return all"));
  gr_block *one = encode_by(sender, 2, true);
  gr_block *other = encode_by(sender, 2, false);
  CHECK(one->bytes != other->bytes);
  gr_block_release(one);
  gr_block_release(other);
  lua_settop(sender, 1);
}

// A finalizer that empties each table with such fields that it finds on the
// stack, also while these are being put into it, and has it shrink and grow.
static const char tamperer[] =
    "local found = 0\n"
    "local function tamper(t)\n"
    "  found = found + 1\n"
    "  for k in pairs(t) do t[k] = nil end\n"
    "  for n = 1, 64 do t[n + 0.5] = n end\n"
    "  for k in pairs(t) do t[k] = nil end\n"
    "  t.last = 1\n"
    "end\n"
    "local function look()\n"
    "  for level = 1, 6 do\n"
    "    if not debug.getinfo(level, 'f') then return end\n"
    "    for i = 1, 30 do\n"
    "      local name, value = debug.getlocal(level, i)\n"
    "      if not name then break end\n"
    "      if type(value) == 'table' and rawget(value, 'aa') ~= nil then\n"
    "        tamper(value)\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "function arm()\n"
    "  setmetatable({}, { __gc = function() arm() look() end })\n"
    "end\n"
    "arm()\n"
    "return function() return found end\n";

static int push_record(lua_State *L) {
  push_by(L, lua_touserdata(L, 1), true);
  return 1;
}

static void check_tampering(lua_State *sender) {
  lua_State *receiver = open_with(tamperer, 0);
  check(sender, luaL_dostring(
                    sender, "local t = {}\n"
                            "for i = 1, 9 do t[i] = { i } end\n"
                            "return { aa = { t }, bb = { t, t }, cc = { t },\n"
                            "  dd = 'text', ee = 5 }"));
  gr_block *block = encode_by(sender, 2, true);
  lua_gc(receiver, LUA_GCINC, 10, 1000, 1);
  for (int i = 0; i < 5000; i++) {
    lua_pushcfunction(receiver, push_record);
    lua_pushlightuserdata(receiver, block);
    check(receiver, lua_pcall(receiver, 1, 1, 0));
    luaL_checktype(receiver, -1, LUA_TTABLE);
    lua_settop(receiver, 1);
  }
  check(receiver, lua_pcall(receiver, 0, 1, 0));
  CHECK(lua_tointeger(receiver, -1) > 0);
  lua_close(receiver);
  lua_settop(sender, 1);
  gr_block_release(block);
}

int main(void) {
  unsigned long seed = knob("SEED", gr_now_ns() % 1000000);
  unsigned long count = knob("SCALE", 1500);
  fflush(stdout);
  limit_time(300);
  gr_handle_init();
  gr_memo_learn();
  gr_layout_learn();
  CHECK(gr_layout_is_known);
  lua_State *sender = open_with(generator, seed);
  lua_State *receiver = open_with(comparer, 0);
  gr_block_release(encode_by(sender, 1, false)); // modules are known then
  check_many(sender);
  check_tampering(sender);
  for (unsigned long i = 0; i < count; i++) {
    if (i % 100 == 0)
      collect_often(receiver, i / 100);
    compare(sender, receiver);
  }
  lua_close(sender);
  lua_close(receiver);
  CHECK(gr_block_count() == 0);
  printf("plain data: ok\n");
}
