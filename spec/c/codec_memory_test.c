// SPDX-License-Identifier: MIT
// Encoding and decoding when memory runs out: every single allocation of either
// is refused in turn, that of Lua and that of the codec itself, once or from
// then on. Each time there is an error of Lua, no block is left, and no
// reference to a handle's object is lost or kept.
//
// Linked with --wrap for malloc, calloc and realloc: those of the codec come
// here. Lua's library is shared, and has an allocator of its own.
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "test.h"
#include "value/block.h"
#include "value/layout.h"
#include "value/memo.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

// --- refusing ---

typedef enum refused { OF_NOBODY, OF_LUA, OF_CODEC } refused;

static struct {
  refused whose;
  unsigned long nth, count; // the first is 1
  bool once;
} refusing;

static bool refuses(refused whose) {
  if (refusing.whose != whose)
    return false;
  unsigned long i = ++refusing.count;
  return refusing.once ? i == refusing.nth : i >= refusing.nth;
}

void *__wrap_malloc(size_t bytes) {
  return refuses(OF_CODEC) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
  return refuses(OF_CODEC) ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes) {
  return refuses(OF_CODEC) ? NULL : __real_realloc(old, bytes);
}

static void *allocate(void *unused, void *old, size_t osize, size_t bytes) {
  (void)unused;
  if (bytes == 0) {
    free(old);
    return NULL;
  }
  bool grows = !old || bytes > osize; // to shrink may not fail
  return grows && refuses(OF_LUA) ? NULL : __real_realloc(old, bytes);
}

// --- handles that only count ---

enum { THINGS = 6 };
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

// --- values ---

static const char *const values[] = {
    "return nil",
    "return 1.5",
    "return thing(1)",
    "return ('x'):rep(1000)",
    "return { 1, 2, { 3 }, key = { [true] = 'yes', [1.5] = 'float' } }",
    "return string, print, math.floor",
    "local t = { thing(1), thing(2), { thing(3), thing(4) }, thing(5) }\n"
    "t.again = t[3]; return t, t[1], thing(6)",
    "local t = {}; for i = 1, 40 do t[i] = { i, thing(i % 6 + 1) } end\n"
    "return t",
    "local t = {}; for i = 1, 400 do t[i] = thing(i % 6 + 1) end\n"
    "return t", // the block grows for a handle
    "local t = thing(1); for i = 1, 230 do t = { t, thing(i % 6 + 1) } end\n"
    "return t",
    "local f = thing(1)\n"
    "for i = 1, 110 do\n"
    "  local g, inner = string.gmatch('', ''), f\n"
    "  debug.setupvalue(g, 1, inner); debug.setupvalue(g, 3, thing(2))\n"
    "  f = i % 2 == 1 and g or function() return inner, f end\n"
    "end\n"
    "return f",
    "local t = thing(1); for i = 1, 120 do t = { t } end\n"
    "return { setmetatable({}, { __transfer = function()\n"
    "  return rawlen, t end }), t }",
    "local n, t = 0, { thing(1) }\n"
    "local function up() n = n + 1; return t, up end\n"
    "return { up, function() return n, t end, up }",
    "local class = { thing(2) }; class.__index = class\n"
    "return setmetatable({ setmetatable({}, class) }, class)",
    "local all = {}\n"
    "for i = 1, 5000 do all[i] = { i, name = 'x' .. i } end\n"
    "all[#all + 1] = thing(1); return all", // more than the collector runs for
};

static lua_State *open_state(void) {
  lua_State *L = lua_newstate(allocate, NULL);
  CHECK(L);
  luaL_openlibs(L);
  gr_handle_register(L, &thing_type);
  lua_settop(L, 0);
  lua_register(L, "thing", new_thing);
  return L;
}

// A state with what the chunk returns on its stack.
static lua_State *open_with(const char *chunk) {
  lua_State *L = open_state();
  CHECK(luaL_dostring(L, chunk) == LUA_OK);
  lua_gc(L, LUA_GCCOLLECT, 0); // what is left are handles in use
  return L;
}

// --- a trial ---

typedef struct trial {
  gr_block *block;
  gr_message message;
} trial;

static int encode_block(lua_State *L) {
  trial *t = lua_touserdata(L, 1);
  t->block = gr_block_encode(L, lua_gettop(L) - 1, GR_VALUES_CALL);
  return 0;
}

static int encode_message(lua_State *L) {
  trial *t = lua_touserdata(L, 1);
  gr_message_encode(L, 2, &t->message);
  return 0;
}

static int push_block(lua_State *L) {
  trial *t = lua_touserdata(L, 1);
  CHECK(gr_block_push(L, t->block) == (int)t->block->value_count);
  return 0;
}

static int push_message(lua_State *L) {
  trial *t = lua_touserdata(L, 1);
  gr_message_push(L, &t->message);
  return 0;
}

static void check_error(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  CHECK(message);
  CHECK(strstr(message, "not enough memory") ||
        strstr(message, "stack overflow"));
}

// Calls with copies of what is on the stack, which stays. False for an error.
static bool call(lua_State *L, lua_CFunction f, trial *t) {
  int count = lua_gettop(L);
  CHECK(lua_checkstack(L, count + LUA_MINSTACK));
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, t);
  for (int i = 1; i <= count; i++)
    lua_pushvalue(L, i);
  bool done = lua_pcall(L, count + 1, 0, 0) == LUA_OK;
  refusing.whose = OF_NOBODY;
  if (!done)
    check_error(L);
  lua_settop(L, count);
  return done;
}

typedef struct mode {
  refused whose;
  bool once;
} mode;

static void refuse_nth(const mode *m, unsigned long nth) {
  refusing.nth = nth;
  refusing.count = 0;
  refusing.once = m->once;
  refusing.whose = m->whose;
}

// --- encoding ---

static void check_things(const long *expected) {
  CHECK(!memcmp(things, expected, sizeof things));
}

static void drop(trial *t) {
  gr_block_release(t->block);
  gr_message_drop(&t->message);
}

static size_t bytes_of(const trial *t) {
  gr_block *block =
      t->message.kind == GR_MESSAGE_BLOCK ? t->message.block : t->block;
  return block ? block->bytes : 0;
}

// Written one way or the other: the first message is not plain yet.
static size_t undisturbed_bytes(const char *chunk, lua_CFunction f,
                                bool again) {
  lua_State *L = open_with(chunk);
  trial t = {0};
  CHECK(call(L, f, &t));
  if (again) {
    drop(&t);
    t = (trial){0};
    CHECK(call(L, f, &t));
  }
  size_t bytes = bytes_of(&t);
  drop(&t);
  lua_close(L);
  return bytes;
}

// False when there is no nth allocation.
static bool try_encode(const char *chunk, lua_CFunction f, const mode *m,
                       unsigned long nth, const size_t bytes[2]) {
  lua_State *L = open_with(chunk);
  trial t = {0};
  if (nth % 2) {
    CHECK(call(L, f, &t));
    drop(&t);
    t = (trial){0};
  }
  long before[THINGS];
  memcpy(before, things, sizeof before);
  refuse_nth(m, nth);
  bool done = call(L, f, &t);
  bool reached = refusing.count >= nth;
  CHECK(done || reached);
  if (!done) {
    CHECK(!t.block && t.message.kind == GR_MESSAGE_NIL);
    CHECK(gr_block_count() == 0);
    check_things(before);
    lua_gc(L, LUA_GCCOLLECT, 0); // nor does it refer to what was left half done
    CHECK(call(L, f, &t));       // all is as it was
  }
  CHECK(bytes_of(&t) == bytes[0] || bytes_of(&t) == bytes[1]);
  drop(&t);
  CHECK(gr_block_count() == 0);
  check_things(before);
  lua_close(L);
  return reached;
}

// --- decoding ---

static bool try_push(const trial *made, lua_CFunction f, const mode *m,
                     unsigned long nth) {
  lua_State *L = open_state();
  trial t = *made;
  long before[THINGS];
  memcpy(before, things, sizeof before);
  if (f == push_message && t.message.kind == GR_MESSAGE_BLOCK)
    gr_block_retain(t.message.block);
  else if (f == push_message && t.message.kind == GR_MESSAGE_HANDLE)
    thing_retain(t.message.pointer);
  refuse_nth(m, nth);
  bool done = call(L, f, &t);
  bool reached = refusing.count >= nth;
  CHECK(done || reached);
  CHECK(f == push_block || t.message.kind == GR_MESSAGE_NIL);
  CHECK(lua_gc(L, LUA_GCISRUNNING));
  lua_gc(L, LUA_GCCOLLECT, 0);
  check_things(before);
  if (!done && f == push_block)
    CHECK(call(L, f, &t));
  lua_close(L);
  check_things(before);
  return reached;
}

// --- all of it ---

// The first hundred, then more and more apart, for values with thousands.
static unsigned long next(unsigned long nth) {
  return nth + 1 + nth / 100;
}

static unsigned long trials;

static void encode_each(const char *chunk, const mode *m) {
  lua_CFunction encoders[] = {encode_block, encode_message};
  for (int i = 0; i < 2; i++) {
    lua_CFunction f = encoders[i];
    size_t bytes[] = {undisturbed_bytes(chunk, f, false),
                      undisturbed_bytes(chunk, f, true)};
    for (unsigned long n = 1, in_turn = 0; in_turn < 2; n = next(n)) {
      in_turn = try_encode(chunk, f, m, n, bytes) ? 0 : in_turn + 1;
      trials++;
    }
  }
}

static void push_each(const char *chunk, const mode *m) {
  lua_State *L = open_with(chunk);
  trial t = {0};
  CHECK(call(L, encode_block, &t));
  CHECK(call(L, encode_message, &t));
  lua_close(L);
  lua_CFunction pushers[] = {push_block, push_message};
  for (int i = 0; i < 2; i++)
    for (unsigned long n = 1; try_push(&t, pushers[i], m, n); n = next(n))
      trials++;
  drop(&t);
}

int main(void) {
  static const mode modes[] = {
      {OF_LUA, false}, {OF_LUA, true}, {OF_CODEC, false}, {OF_CODEC, true}};
  static const long none[THINGS];
  limit_time(120);
  gr_handle_init();
  gr_memo_learn();
  gr_layout_learn();
  gr_message_add_type(&thing_type);
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    for (size_t j = 0; j < sizeof modes / sizeof *modes; j++) {
      encode_each(values[i], &modes[j]);
      push_each(values[i], &modes[j]);
    }
  }
  check_things(none);
  CHECK(gr_block_count() == 0 && gr_handle_count() == 0);
  printf("codec memory: %lu times refused: ok\n", trials);
}
