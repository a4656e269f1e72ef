// SPDX-License-Identifier: MIT
// Encoding functions: bytecode and upvalues, with the environment among these.
#include <lauxlib.h>
#include <string.h>

#include "value/code.h"
#include "value/encoder.h"
#include "value/memo.h"

enum { OFTEN = 64 }; // to make an image takes as long as some hundred starts

static int append(lua_State *L, const void *data, size_t bytes, void *arg) {
  (void)L;
  gr_encoder_put(arg, data, bytes);
  return 0;
}

// Returns where it lies.
static gr_bytecode put_bytecode(gr_encoder *e, int index) {
  size_t size_at = e->len;
  gr_encoder_reserve(e, sizeof(uint32_t));
  lua_pushvalue(e->L, index);
  lua_dump(e->L, append, e, 0);
  lua_pop(e->L, 1);
  size_t size = e->len - size_at - sizeof(uint32_t);
  if (size > UINT32_MAX)
    gr_encoder_no_memory(e);
  uint32_t size32 = (uint32_t)size;
  memcpy(&e->items[size_at], &size32, sizeof size32);
  return (gr_bytecode){e->items + size_at + sizeof size32, size};
}

typedef enum environment {
  NO_ENVIRONMENT,
  IS_GLOBALS,
  INHERITS,      // looks up globals through tables; copied as any table
  IS_PROGRAMMED, // by functions, as test frameworks have it; stands for the
                 // receiver's globals
} environment;

// What the value on top is, as the _ENV of a function. [-0, +0]
static environment environment_of(gr_encoder *e, const char *name) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  environment is = NO_ENVIRONMENT;
  if (lua_topointer(L, top) == e->globals)
    return IS_GLOBALS;
  bool may_inherit = !strcmp(name, "_ENV");
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_pushvalue(L, top);
  for (int i = 0; i < 100 && may_inherit && lua_istable(L, -1); i++) {
    if (luaL_getmetafield(L, -1, "__index") == LUA_TNIL)
      break;
    if (lua_isfunction(L, -1))
      is = IS_PROGRAMMED;
    else if (lua_rawequal(L, -1, top + 1))
      is = INHERITS;
    may_inherit = is == NO_ENVIRONMENT;
    lua_replace(L, top + 2);
  }
  lua_settop(L, top);
  return is;
}

static void put_upvalue(gr_encoder *e, int function, int i, uint32_t object,
                        size_t tag_at, const gr_path *outer) {
  lua_State *L = e->L;
  const void *key = lua_upvalueid(L, function, i);
  gr_seen *entry = gr_encoder_see(e, key);
  if (entry->key) {
    unsigned char index = (unsigned char)entry->upvalue;
    gr_encoder_mark_shared(e, entry);
    gr_encoder_put_tagged(e, GR_TAG_UPVALUE, &entry->object,
                          sizeof entry->object);
    gr_encoder_put(e, &index, 1);
    return;
  }
  gr_encoder_note(e, entry, key, tag_at, object, (uint32_t)i);
  gr_path p = {outer, GR_AT_UPVALUE, function, i, outer->depth + 1};
  const char *name = lua_getupvalue(L, function, i);
  if (environment_of(e, name) == IS_PROGRAMMED) {
    gr_encoder_put_tag(e, GR_TAG_GLOBALS);
    lua_replace(L, e->slots + GR_SLOT_ENVIRONMENT);
    return;
  }
  gr_encoder_put_value(e, lua_gettop(L), &p);
  lua_pop(L, 1);
}

// The count of them is the caller's to write.
static void put_upvalues(gr_encoder *e, int function, int count,
                         uint32_t object, size_t tag_at, const gr_path *p) {
  for (int i = 1; i <= count; i++)
    put_upvalue(e, function, i, object, tag_at, p);
}

static gr_environments find_environments(gr_encoder *e, int function,
                                         int upvalues) {
  gr_environments environments = {{0}};
  for (int i = 1; i <= upvalues; i++) {
    const char *name = lua_getupvalue(e->L, function, i);
    environment is = environment_of(e, name);
    if (is != NO_ENVIRONMENT)
      gr_add_environment(&environments, (unsigned)i - 1);
    if (is == INHERITS)
      gr_encoder_needs(e, GR_IMAGE_FULL);
    lua_pop(e->L, 1);
  }
  return environments;
}

static int count_upvalues(lua_State *L, int function) {
  lua_Debug ar;
  lua_pushvalue(L, function);
  lua_getinfo(L, ">u", &ar);
  return ar.nups;
}

// The function that a goroutine begins with may be in its state already: true
// if it is known that well.
static bool is_code(gr_encoder *e, gr_memo *memo, uint32_t object) {
  if (++memo->uses == OFTEN)
    memo->code = gr_code_find((gr_bytecode){memo->bytecode, memo->len});
  if (!memo->code || e->code)
    return false;
  e->code = memo->code;
  e->code_object = object;
  return true;
}

// Writes the bytecode of a function that is captured, as it was the last time
// or anew, and notes what it mentions. Returns the number of its upvalues. Not
// inline: functions are written within each other, and this has much on the C
// stack.
__attribute__((noinline)) static int
put_captured(gr_encoder *e, int function, uint32_t object, const gr_path *p) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  gr_memo *known = gr_memo_find(L, function);
  int upvalues = known ? known->upvalues : count_upvalues(L, function);
  gr_memo memo = {.upvalues = upvalues,
                  .environments = find_environments(e, function, upvalues)};
  if (known) // which may have been given up for another: finalizers may run
    known = gr_memo_find(L, function);
  if (known && !memcmp(&known->environments, &memo.environments,
                       sizeof memo.environments)) {
    bool goes_without = p->at == GR_AT_ROOT && is_code(e, known, object);
    uint32_t len = goes_without ? 0 : (uint32_t)known->len;
    gr_encoder_put(e, &len, sizeof len);
    gr_encoder_put(e, known->bytecode, len);
    gr_encoder_needs(e, known->needs);
    if (known->has_lists) {
      gr_memo_push_lists(L, known);
      gr_capture_mention(e);
    }
  } else {
    gr_bytecode code = put_bytecode(e, function);
    memo.needs = gr_mentions_push(L, code, &memo.environments);
    gr_memo_note(L, function, code, memo);
    gr_encoder_needs(e, memo.needs);
    gr_capture_mention(e);
    lua_settop(L, top);
  }
  return upvalues;
}

void gr_encoder_put_lua_function(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  if (gr_encoder_put_otherwise(e, index, false, p))
    return;
  size_t tag_at = e->len;
  uint32_t object = e->objects;
  bool later = p->depth > GR_DEPTH_MAX;
  if (!e->is_capturing)
    gr_encoder_needs(e, GR_IMAGE_FULL); // then nobody looks at what it mentions
  gr_encoder_put_again(e, index,
                       later ? GR_TAG_FUNCTION_LATER : GR_TAG_FUNCTION_LUA);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  int upvalues;
  if (e->is_capturing) {
    upvalues = put_captured(e, index, object, p);
  } else {
    put_bytecode(e, index);
    upvalues = count_upvalues(L, index);
  }
  if (later) {
    gr_encoder_put_off(e, index);
    return;
  }
  *gr_encoder_reserve(e, 1) = (unsigned char)upvalues;
  put_upvalues(e, index, upvalues, object, tag_at, p);
}

static void put_c_upvalues(gr_encoder *e, int function, int count,
                           const gr_path *p) {
  lua_State *L = e->L;
  for (int i = 1; i <= count; i++) {
    gr_path up = {p, GR_AT_UPVALUE, function, i, p->depth + 1};
    lua_getupvalue(L, function, i);
    gr_encoder_put_value(e, lua_gettop(L), &up);
    lua_pop(L, 1);
  }
}

void gr_encoder_put_c_function(gr_encoder *e, int index, const gr_path *p) {
  lua_State *L = e->L;
  lua_CFunction function = lua_tocfunction(L, index);
  if (gr_encoder_put_otherwise(e, index, false, p))
    return;
  gr_encoder_needs(e, GR_IMAGE_FULL); // it may look for anything
  unsigned char count = (unsigned char)count_upvalues(L, index);
  bool later = p->depth > GR_DEPTH_MAX;
  if (count == 0) {
    gr_encoder_put_tagged(e, GR_TAG_FUNCTION_C, &function, sizeof function);
    return;
  }
  gr_encoder_put_again(e, index, later ? GR_TAG_CLOSURE_LATER : GR_TAG_CLOSURE);
  luaL_checkstack(L, 8, "cannot send a value nested so deeply");
  gr_encoder_put(e, &function, sizeof function);
  gr_encoder_put(e, &count, 1);
  if (later)
    gr_encoder_put_off(e, index);
  else
    put_c_upvalues(e, index, count, p);
}

void gr_encoder_put_function_later(gr_encoder *e, int index, const gr_path *p) {
  gr_seen *entry = gr_encoder_see(e, lua_topointer(e->L, index));
  int count = count_upvalues(e->L, index);
  *gr_encoder_reserve(e, 1) = (unsigned char)count;
  luaL_checkstack(e->L, 8, "cannot send a value nested so deeply");
  if (lua_iscfunction(e->L, index))
    put_c_upvalues(e, index, count, p);
  else
    put_upvalues(e, index, count, entry->object, entry->tag_at, p);
}
