// SPDX-License-Identifier: MIT
// Blocks that are damaged after they were made: whatever their bytes are, they
// decode to values or to an error, and nothing is read or written elsewhere.
//
// Pointers are damaged like anything else, since nothing here calls or follows
// what arrives. Bytecode is not, nor are its bounds: Lua does not verify it.
// The list of handles stays, too: it is no bytes of the block. The same SEED
// makes the same values and damage, but for the order of keys.
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "base/random.h"
#include "test.h"
#include "value/block.h"
#include "value/layout.h"
#include "value/memo.h"

enum {
  SOURCES = 16, // blocks of each kind that others are spliced from
  DAMAGES = 40, // copies of each block
  THINGS = 4,   // objects of handles
  SIZE_MAX_LOG = 19,
  MEMORY_MAX = 64 << 20,
};

static gr_random dice;

static uint32_t below(size_t bound) {
  return gr_random_below(&dice, (uint32_t)bound);
}

// --- memory of the states: with an end that is looked at, and a limit ---

static const uint64_t fence = 0xFE9CEFE9CEFE9CEFu;
static size_t memory_used;

static void check_fence(const char *memory, size_t bytes) {
  CHECK(!memcmp(memory + bytes, &fence, sizeof fence));
}

// The sender has as much as it wants.
static void *allocate(void *is_sender, void *old, size_t osize, size_t bytes) {
  size_t had = old ? osize : 0;
  if (old)
    check_fence(old, had);
  if (!is_sender && bytes > had && memory_used + bytes - had > MEMORY_MAX)
    return NULL;
  memory_used = memory_used + bytes - had;
  if (bytes == 0) {
    free(old);
    return NULL;
  }
  char *memory = realloc(old, bytes + sizeof fence);
  CHECK(memory);
  memcpy(memory + bytes, &fence, sizeof fence);
  return memory;
}

// --- handles that only count ---

static long things[THINGS];

static void thing_retain(void *thing) {
  ++*(long *)thing;
}

static void thing_release(void *thing) {
  CHECK(--*(long *)thing >= 0);
}

static const gr_handle_type thing_type = {"thing", thing_retain, thing_release,
                                          NULL};

static int new_thing(lua_State *L) {
  long *thing = &things[luaL_checkinteger(L, 1) - 1];
  thing_retain(thing);
  gr_handle_push(L, &thing_type, thing, 0);
  return 1;
}

static int new_pointer(lua_State *L) {
  lua_pushlightuserdata(L, &things[luaL_checkinteger(L, 1) - 1]);
  return 1;
}

// --- values ---

static const char generator[] =
    "local seed, thing, pointer = ...\n"
    "math.randomseed(seed)\n"
    "local random, make = math.random, nil\n"
    "local pool, left, functions, plain\n"
    "local lengths = { 0, 1, 3, 39, 40, 41, 254, 255, 256, 257, 1000 }\n"
    "local function text()\n"
    "  local n = lengths[random(#lengths)]\n"
    "  if random(300) == 1 then n = 50000 end\n"
    "  local s = string.char(random(0, 255), random(0, 30))\n"
    "  return s:rep(n // 2 + 1):sub(1, n)\n"
    "end\n"
    "local function put(object)\n"
    "  pool[#pool + 1] = object\n"
    "  return object\n"
    "end\n"
    "local function record(depth)\n"
    "  local t = put({})\n"
    "  local kind = random(12)\n"
    "  for i = 1, kind do t['field' .. i * kind] = make(depth + 1) end\n"
    "  for i = 1, random(0, 3) do t[i] = make(depth + 1) end\n"
    "  return t\n"
    "end\n"
    "local function filled(depth)\n"
    "  local t = put({})\n"
    "  for i = 1, random(0, 6) do t[i] = make(depth + 1) end\n"
    "  for _ = 1, random(0, 6) do t[make(depth + 1)] = make(depth + 1) end\n"
    "  if random(4) == 1 then setmetatable(t, put({ make(depth + 1) })) end\n"
    "  return t\n"
    "end\n"
    "local function deep()\n"
    "  local t = put({})\n"
    "  local meta = random(3)\n"
    "  for _ = 1, random(90, 320) do\n"
    "    if meta == 1 then t = setmetatable({}, t)\n"
    "    elseif meta == 2 then t = { [t] = 1 } else t = { 1, t } end\n"
    "  end\n"
    "  return put(t)\n"
    "end\n"
    "local function closures(depth)\n"
    "  local a, b = make(depth + 1), make(depth + 1)\n"
    "  local function get() return a, b end\n"
    "  local function set(v) a = v; return get end\n"
    "  local function own() return own, set, b end\n"
    "  put(get); put(set); return put(own)\n"
    "end\n"
    "local function chain()\n"
    "  local f = put(function() end)\n"
    "  for _ = 1, random(0, 320) do\n"
    "    local inner, kind = f, random(9)\n"
    "    if kind == 1 then f = { inner }\n"
    "    elseif kind == 2 then\n"
    "      f = string.gmatch('', '')\n"
    "      debug.setupvalue(f, 1, inner); debug.setupvalue(f, 3, 1)\n"
    "    else f = function() return inner end end\n"
    "  end\n"
    "  return put(f)\n"
    "end\n"
    "local scalars = {\n"
    "  function() return random(2) == 1 end,\n"
    "  function() return random(0) end,\n"
    "  function() return random(0, 100) end,\n"
    "  function() return random() * 1e9 end,\n"
    "  function() return 1 / (random(3) - 2) end,\n"
    "  text, text,\n"
    "  function() return thing(random(4)) end,\n"
    "  function() return pointer(random(4)) end,\n"
    "  function() return random(2) == 1 and math or _G end,\n"
    "}\n"
    "local c_functions = { print, next, string.byte, table.unpack(\n"
    "  package.searchers) }\n"
    "local function of_function(depth)\n"
    "  local kind = random(4)\n"
    "  if kind == 1 then return c_functions[random(#c_functions)] end\n"
    "  if kind == 2 and random(5) == 1 then return chain() end\n"
    "  return closures(depth)\n"
    "end\n"
    "function make(depth)\n"
    "  left = left - 1\n"
    "  local kind = random(10)\n"
    "  if kind == 1 and pool[1] then return pool[random(#pool)] end\n"
    "  if left < 0 or depth > 12 or kind < 5 then\n"
    "    return scalars[random(#scalars - (plain and 1 or 0))]()\n"
    "  end\n"
    "  if plain then return record(depth) end\n"
    "  if functions and kind < 8 then return of_function(depth) end\n"
    "  if random(60) == 1 then return deep() end\n"
    "  return filled(depth)\n"
    "end\n"
    "return function(kind)\n"
    "  pool, left = {}, 4 ^ random(0, 4)\n"
    "  functions, plain = kind == 1, kind == 2\n"
    "  local values = {}\n"
    "  for i = 1, random(0, 6) do values[i] = make(1) end\n"
    "  return table.unpack(values)\n"
    "end\n";

static lua_State *open_state(bool *is_sender) {
  lua_State *L = lua_newstate(allocate, is_sender);
  CHECK(L);
  luaL_openlibs(L);
  gr_handle_register(L, &thing_type);
  // A damaged name of a module finds no file.
  CHECK(luaL_dostring(L, "package.path, package.cpath = '', ''") == LUA_OK);
  lua_settop(L, 0);
  return L;
}

// Leaves the generator in the stack's first place.
static lua_State *open_sender(unsigned long seed) {
  static bool is_sender = true;
  lua_State *L = open_state(&is_sender);
  CHECK(luaL_loadstring(L, generator) == LUA_OK);
  lua_pushinteger(L, (lua_Integer)seed);
  lua_pushcfunction(L, new_thing);
  lua_pushcfunction(L, new_pointer);
  lua_call(L, 3, 1);
  return L;
}

// Of data, with functions besides, and of plain data.
enum { KINDS = 3, PLAIN = 2 };

static int encode(lua_State *L) {
  gr_block **out = lua_touserdata(L, 1);
  gr_values what =
      lua_tointeger(L, 3) == PLAIN ? GR_VALUES_SENT : GR_VALUES_CALL;
  lua_remove(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  *out = gr_block_encode(L, lua_gettop(L), what);
  return 0;
}

static gr_block *make_block(lua_State *L, unsigned kind) {
  gr_block *block = NULL;
  lua_pushcfunction(L, encode);
  lua_pushlightuserdata(L, &block);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, kind);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  CHECK(block);
  return block;
}

// --- decoding ---

static int decode(lua_State *L) {
  const gr_block *block = lua_touserdata(L, 1);
  int count = gr_block_push(L, block);
  CHECK((uint32_t)count == block->value_count);
  CHECK(lua_gettop(L) == count + 1);
  return 0;
}

static bool decodes(lua_State *L, const gr_block *block) {
  lua_pushcfunction(L, decode);
  lua_pushlightuserdata(L, (void *)block);
  int status = lua_pcall(L, 1, 0, 0);
  CHECK(lua_gc(L, LUA_GCISRUNNING));
  if (status != LUA_OK)
    CHECK(lua_type(L, -1) == LUA_TSTRING);
  lua_settop(L, 0);
  return status == LUA_OK;
}

// --- damage ---

// Where bytecode is: from its size to its end. It always begins so, and nothing
// else does.
static bool is_bytecode(const gr_block *b, size_t at, size_t *end) {
  static const char signature[] = LUA_SIGNATURE "\x54\0\x19\x93\r\n\x1a\n";
  uint32_t size;
  size_t begin = at + sizeof size;
  if (begin + sizeof signature > b->bytes ||
      memcmp(b->items + begin, signature, sizeof signature - 1))
    return false;
  memcpy(&size, b->items + at, sizeof size);
  *end = begin + size;
  return true;
}

// Which bytes are in bytecode: 1; also, but cutting before it is safe: 2.
static unsigned char *find_bytecode(const gr_block *b) {
  unsigned char *inside = calloc(b->bytes + 1, 1);
  for (size_t at = 0, end; at < b->bytes; at++) {
    if (!is_bytecode(b, at, &end))
      continue;
    inside[at] = 2;
    for (; ++at < end && at < b->bytes;)
      inside[at] = 1;
    at--;
  }
  return inside;
}

static gr_block *copy_of(const gr_block *b) {
  gr_block *copy = malloc(sizeof *b + b->bytes); // no more than it needs
  memcpy(copy, b, sizeof *b + b->bytes);
  return copy;
}

static size_t place_to_cut(const gr_block *b, const unsigned char *inside) {
  size_t at;
  do
    at = below(b->bytes + 1);
  while (inside[at] == 1);
  return at;
}

typedef struct range {
  size_t begin, end;
} range;

static range random_range(const gr_block *b) {
  unsigned char *inside = find_bytecode(b);
  size_t one = place_to_cut(b, inside), other = place_to_cut(b, inside);
  free(inside);
  return one < other ? (range){one, other} : (range){other, one};
}

// The block with the bytes instead of that range, `times` over.
static gr_block *replace(gr_block *b, range r, const unsigned char *bytes,
                         size_t count, size_t times) {
  size_t len = b->bytes - (r.end - r.begin) + count * times;
  gr_block *out = malloc(sizeof *b + len);
  memcpy(out, b, sizeof *b + r.begin);
  for (size_t i = 0; i < times; i++)
    memcpy(out->items + r.begin + i * count, bytes, count);
  memcpy(out->items + r.begin + count * times, b->items + r.end,
         b->bytes - r.end);
  out->bytes = len;
  free(b);
  return out;
}

static unsigned char random_byte(unsigned char old) {
  static const unsigned char notable[] = {0, 1, 0x7f, 0x80, 0xff};
  switch (below(5)) {
  case 0:
    return (unsigned char)below(256);
  case 1:
    return old ^ (unsigned char)(1 << below(8));
  case 2:
    return (unsigned char)(old + below(5) - 2);
  case 3:
    return notable[below(sizeof notable)];
  default: // a tag
    return (unsigned char)(below(GR_TAG_END + 4) | (below(3) ? 0 : 0x80));
  }
}

static gr_block *flip(gr_block *b) {
  unsigned char *inside = find_bytecode(b);
  for (uint32_t n = below(6) + 1; n > 0 && b->bytes; n--) {
    // Tags and counts are at the beginning and at the end rather than between.
    size_t at = below(b->bytes), near = below(b->bytes < 64 ? b->bytes : 64);
    if (below(3) == 0)
      at = below(2) ? near : b->bytes - 1 - near;
    if (!inside[at])
      b->items[at] = random_byte(b->items[at]);
  }
  free(inside);
  return b;
}

static gr_block *truncate_it(gr_block *b) {
  return replace(b, (range){below(b->bytes + 1), b->bytes}, NULL, 0, 0);
}

static gr_block *cut_out(gr_block *b) {
  return replace(b, random_range(b), NULL, 0, 0);
}

// As often as it fits below a random size, most of them small.
static size_t random_times(size_t count) {
  size_t room = (size_t)1 << below(below(40) ? 12 : SIZE_MAX_LOG + 1);
  return count && room > count ? room / count : 1;
}

static gr_block *splice(gr_block *b, const gr_block *from) {
  range to = random_range(b), source = random_range(from);
  size_t count = source.end - source.begin;
  size_t times = below(4) ? 1 : random_times(count);
  if (below(2))
    to.end = to.begin;
  return replace(b, to, from->items + source.begin, count, times);
}

static gr_block *repeat_byte(gr_block *b) {
  range to = random_range(b);
  unsigned char byte = random_byte(0);
  return replace(b, to, &byte, 1, random_times(1));
}

static void change_counts(gr_block *b) {
  static uint32_t changes[] = {1, 2, 100, 70000, -1u, -2u, -3u, -40u};
  uint32_t change = changes[below(sizeof changes / sizeof *changes)];
  switch (below(4)) {
  case 0:
    b->later_count += change;
    break;
  case 1:
    b->shared_count += change;
    break;
  case 2:
    b->value_count += change;
    break;
  case 3:
    b->handle_count = b->handle_count ? below(b->handle_count) : 0;
  }
}

static gr_block *damage(gr_block *b, const gr_block *from) {
  switch (below(7)) {
  case 0:
    return truncate_it(b);
  case 1:
    return cut_out(b);
  case 2:
    return splice(b, from);
  case 3:
    return repeat_byte(b);
  case 4:
    change_counts(b);
    return b;
  default:
    return flip(b);
  }
}

// --- all of it ---

static unsigned long intact;

static void decode_damaged(lua_State *L, const gr_block *b,
                           const gr_block *from) {
  gr_block *copy = copy_of(b);
  for (uint32_t n = below(3) + 1; n > 0; n--)
    copy = damage(copy, from);
  intact += decodes(L, copy);
  free(copy);
}

static void fuzz(lua_State *sender, lua_State *receiver, unsigned long count) {
  static gr_block *sources[KINDS][SOURCES];
  for (unsigned long i = 0; i < count; i++) {
    gr_block **of_kind = sources[i % KINDS];
    gr_block *b = make_block(sender, i % KINDS);
    CHECK(decodes(receiver, b));
    gr_block **place = &of_kind[below(SOURCES)];
    gr_block_release(*place);
    *place = b;
    for (int j = 0; j < DAMAGES; j++) {
      const gr_block *from = of_kind[below(SOURCES)];
      decode_damaged(receiver, b, from ? from : b);
    }
    if (i % 64 == 0)
      lua_gc(receiver, LUA_GCCOLLECT, 0);
  }
  for (int i = 0; i < KINDS * SOURCES; i++)
    gr_block_release(sources[i / SOURCES][i % SOURCES]);
}

int main(void) {
  unsigned long seed = knob("SEED", gr_now_ns() % 1000000);
  unsigned long count = knob("SCALE", 1000);
  fflush(stdout);
  limit_time(300);
  gr_random_init(&dice, seed);
  gr_handle_init();
  gr_memo_learn();
  gr_layout_learn();
  gr_message_add_type(&thing_type);
  lua_State *sender = open_sender(seed), *receiver = open_state(NULL);
  fuzz(sender, receiver, count);
  lua_close(sender);
  lua_close(receiver);
  CHECK(gr_block_count() == 0 && gr_handle_count() == 0);
  for (int i = 0; i < THINGS; i++)
    CHECK(things[i] == 0);
  CHECK(memory_used == 0);
  printf("codec fuzz: %lu of %lu decoded all the same: ok\n", intact,
         count * DAMAGES);
}
