// SPDX-License-Identifier: MIT
// Reading what lua_dump has made of a function: names of globals from its
// instructions, the others from its strings.
#include "value/mention.h"

#include <lauxlib.h>
#include <string.h>

// --- reading a dumped function (Lua 5.4, ldump.c) ---

typedef struct reader {
  lua_State *L;
  const unsigned char *at, *end;
  gr_image_kind needs;
  int names, words; // stack indices of their tables: list and set
} reader;

typedef struct constant {
  const char *bytes; // NULL: not a string
  size_t len;
} constant;

typedef struct function {
  const unsigned char *code;
  size_t code_count;
  constant *constants;
  size_t constant_count;
  gr_environments environments;
} function;

enum {
  OP_GETUPVAL = 9,
  OP_GETTABUP = 11,
  OP_SETTABUP = 15,
  UPVALUES_MAX = 255
};

static void skip(reader *r, size_t bytes) {
  if ((size_t)(r->end - r->at) < bytes)
    luaL_error(r->L, "cannot read a function of this version of Lua");
  r->at += bytes;
}

static unsigned byte(reader *r) {
  skip(r, 1);
  return r->at[-1];
}

static size_t number(reader *r) {
  size_t n = 0;
  unsigned b;
  do {
    b = byte(r);
    n = n << 7 | (b & 0x7f);
  } while (!(b & 0x80));
  return n;
}

// A count of things of that size at least, which are to come.
static size_t count(reader *r, size_t bytes) {
  size_t n = number(r);
  if (n > (size_t)(r->end - r->at) / bytes)
    skip(r, SIZE_MAX);
  return n;
}

static constant string(reader *r) {
  size_t size = number(r); // with one more
  if (size == 0)
    return (constant){NULL, 0};
  skip(r, size - 1);
  return (constant){(const char *)r->at - (size - 1), size - 1};
}

static void read_constants(reader *r, function *f) {
  for (size_t i = 0; i < f->constant_count; i++) {
    enum { INTEGER = 3, FLOAT = 19, SHORT = 4, LONG = 20 };
    f->constants[i] = (constant){NULL, 0};
    switch (byte(r)) {
    case INTEGER:
    case FLOAT:
      skip(r, 8);
      break;
    case SHORT:
    case LONG:
      f->constants[i] = string(r);
      break;
    default:
      break;
    }
  }
}

// Which of the function's upvalues are environments, known of its parent's.
static void read_upvalues(reader *r, function *f, const function *parent) {
  size_t upvalues = count(r, 3);
  for (size_t i = 0; i < upvalues; i++) {
    bool is_local = byte(r) != 0;
    unsigned index = byte(r);
    skip(r, 1);
    if (parent && i < UPVALUES_MAX && !is_local &&
        gr_is_environment(&parent->environments, index))
      gr_add_environment(&f->environments, (unsigned)i);
  }
}

static void skip_debug(reader *r) {
  skip(r, count(r, 1)); // lines
  for (size_t i = count(r, 2); i > 0; i--) {
    number(r);
    number(r);
  }
  for (size_t i = count(r, 3); i > 0; i--) { // local variables
    string(r);
    number(r);
    number(r);
  }
  for (size_t i = count(r, 1); i > 0; i--) // names of upvalues
    string(r);
}

// --- what it mentions ---

// Into the table at the index, unless it is there.
static void mention(lua_State *L, int table, constant name) {
  lua_pushlstring(L, name.bytes, name.len);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, table) != LUA_TNIL) {
    lua_pop(L, 2);
    return;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_pushboolean(L, true);
  lua_rawset(L, table);
  lua_rawseti(L, table, (lua_Integer)lua_rawlen(L, table) + 1);
}

static void need(reader *r, gr_image_kind kind) {
  if (r->needs < kind)
    r->needs = kind;
}

// What a lean state lacks, and what leads to it.
static bool is_beyond_lean(constant name) {
  static const char *const beyond[] = {
      "string", "table",  "math",      "os",      "io",
      "utf8",   "debug",  "coroutine", "package", "require",
      "load",   "dofile", "loadfile",  "_G",      "getmetatable",
  };
  for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
    if (strlen(beyond[i]) == name.len &&
        !memcmp(beyond[i], name.bytes, name.len))
      return true;
  return false;
}

static void mention_global(reader *r, const function *f, size_t i) {
  if (i >= f->constant_count || !f->constants[i].bytes)
    return;
  if (is_beyond_lean(f->constants[i]))
    need(r, GR_IMAGE_FULL);
  mention(r->L, r->names, f->constants[i]);
}

static void assign_global(reader *r, const function *f, size_t i) {
  if (i < f->constant_count && f->constants[i].bytes &&
      is_beyond_lean(f->constants[i]))
    need(r, GR_IMAGE_FULL);
}

// True if globals are looked up in the function by names that may be any of
// its strings: through _G, or because they are too long or too many for the
// one instruction.
static bool read_code(reader *r, const function *f) {
  bool any = false;
  for (size_t i = 0; i < f->code_count; i++) {
    uint32_t instruction;
    memcpy(&instruction, f->code + i * sizeof instruction, sizeof instruction);
    unsigned op = instruction & 0x7f, a = instruction >> 7 & 0xff,
             b = instruction >> 16 & 0xff, c = instruction >> 24;
    if (op == OP_GETUPVAL && gr_is_environment(&f->environments, b))
      any = true;
    if (op == OP_SETTABUP && gr_is_environment(&f->environments, a))
      assign_global(r, f, b);
    if (op != OP_GETTABUP || !gr_is_environment(&f->environments, b))
      continue;
    mention_global(r, f, c);
    if (c < f->constant_count && f->constants[c].len == 2 &&
        !memcmp(f->constants[c].bytes, "_G", 2))
      any = true;
  }
  return any;
}

static void read_function(reader *r, const function *parent,
                          const gr_environments *environments) {
  enum { FEW = 16 };
  constant few[FEW];
  function f = {.constants = few};
  lua_State *L = r->L;
  luaL_checkstack(L, 8, "cannot send a function nested so deeply");
  int top = lua_gettop(L);
  if (environments)
    f.environments = *environments;
  string(r); // source
  number(r);
  number(r);
  skip(r, 3);
  f.code_count = count(r, 4);
  f.code = r->at;
  skip(r, f.code_count * 4);
  f.constant_count = count(r, 1);
  if (f.constant_count > FEW)
    f.constants = lua_newuserdatauv(L, f.constant_count * sizeof(constant), 0);
  read_constants(r, &f);
  read_upvalues(r, &f, parent);
  bool any = read_code(r, &f);
  if (any)
    need(r, GR_IMAGE_FULL);
  for (size_t i = 0; i < f.constant_count; i++) {
    if (f.constants[i].bytes)
      mention(L, r->words, f.constants[i]);
    if (any)
      mention_global(r, &f, i);
  }
  for (size_t i = count(r, 1); i > 0; i--)
    read_function(r, &f, NULL);
  skip_debug(r);
  lua_settop(L, top);
}

gr_image_kind gr_mentions_push(lua_State *L, gr_bytecode code,
                               const gr_environments *environments) {
  // Signature, version, format, check data, sizes, check numbers, upvalues.
  enum { HEADER = 4 + 1 + 1 + 6 + 3 + 8 + 8 + 1 };
  int top = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  reader r = {.L = L,
              .at = code.bytes,
              .end = code.bytes + code.len,
              .names = top + 1,
              .words = top + 2};
  lua_newtable(L);
  lua_newtable(L);
  skip(&r, HEADER);
  read_function(&r, NULL, environments);
  return r.needs;
}
