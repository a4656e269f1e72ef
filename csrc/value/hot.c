// SPDX-License-Identifier: MIT
#include "value/hot.h"

#include <string.h>

#include "value/layout.h"

// --- the lines ---

typedef struct finder {
  const char *memory;
  size_t bytes;
  unsigned count;
  unsigned short at[GR_LINES_MAX];
} finder;

static bool has_line(const finder *f, size_t line) {
  for (unsigned i = 0; i < f->count; i++)
    if (f->at[i] == line)
      return true;
  return false;
}

// What is not the copy's own, or one too many, is left out.
static void add(finder *f, const void *from, size_t bytes) {
  size_t begin = (size_t)((uintptr_t)from - (uintptr_t)f->memory);
  if (begin >= f->bytes || bytes > f->bytes - begin)
    return;
  size_t end = (begin + bytes + GR_LINE_BYTES - 1) / GR_LINE_BYTES;
  for (size_t line = begin / GR_LINE_BYTES; line < end; line++)
    if (f->count < GR_LINES_MAX && !has_line(f, line))
      f->at[f->count++] = (unsigned short)line;
}

static void publish(const finder *f, gr_lines *lines) {
  for (unsigned i = 0; i < f->count; i++)
    atomic_store_explicit(&lines->at[i], f->at[i], memory_order_relaxed);
  atomic_store_explicit(&lines->count, f->count, memory_order_relaxed);
}

// Whether so much can be read there.
static bool is_own(const finder *f, const void *at, size_t bytes) {
  uintptr_t begin = (uintptr_t)at - (uintptr_t)f->memory;
  return begin < f->bytes && bytes <= f->bytes - begin &&
         (uintptr_t)at % sizeof(void *) == 0;
}

// --- tables ---

static const gr_raw_table *table_at(const finder *f, const void *at) {
  const gr_raw_table *t = at;
  bool is =
      is_own(f, t, sizeof *t) && (t->type | GR_RAW_COLLECTABLE) == GR_RAW_TABLE;
  return is ? t : NULL;
}

// 0 if there is no hash part.
static unsigned count_nodes(const finder *f, const gr_raw_table *t) {
  enum { LOG_MAX = 16 };
  if (t->log_nodes > LOG_MAX)
    return 0;
  unsigned count = gr_raw_node_count(t);
  return is_own(f, t->nodes, count * sizeof *t->nodes) ? count : 0;
}

// The node that has the key, with those that are looked at before it; or NULL,
// and none is noted.
static const gr_raw_node *note_field(finder *f, const gr_raw_table *t,
                                     const gr_raw_string *key) {
  unsigned count = count_nodes(f, t), before = f->count;
  const gr_raw_node *node = count ? &t->nodes[key->hash & (count - 1)] : NULL;
  for (unsigned i = 0; i < count; i++) {
    add(f, node, sizeof *node);
    if (node->key_type == GR_RAW_SHORT_STRING && node->key.object == key) {
      add(f, t, sizeof *t);
      add(f, &key->hash, sizeof key->hash);
      return node;
    }
    if (node->next == 0 || !is_own(f, node + node->next, sizeof *node))
      break;
    node += node->next;
  }
  f->count = before;
  return NULL;
}

static const gr_raw_node *find_text(const finder *f, const gr_raw_table *t,
                                    const char *text) {
  size_t len = strlen(text);
  for (unsigned i = count_nodes(f, t); i-- > 0;) {
    const gr_raw_node *node = &t->nodes[i];
    const gr_raw_string *key = node->key.object;
    if (node->key_type == GR_RAW_SHORT_STRING &&
        is_own(f, key, sizeof *key + len) && key->short_len == len &&
        !memcmp(key->bytes, text, len))
      return node;
  }
  return NULL;
}

// --- functions ---

// Of a function in Lua. As assumed.
typedef struct __attribute__((may_alias)) raw_prototype {
  void *next;
  uint8_t type, color, parameters, is_vararg, stack;
  int upvalue_count, constant_count, code_count, counts[6];
  const gr_raw_item *constants;
  const uint32_t *code;
} raw_prototype;

typedef struct __attribute__((may_alias)) raw_upvalue {
  gr_raw_object object;
  const gr_raw_item *value;
  gr_raw_item own;
} raw_upvalue;

typedef struct __attribute__((may_alias)) raw_function {
  void *next;
  uint8_t type, color, upvalue_count;
  void *gray;
  const raw_prototype *prototype;
  const raw_upvalue *upvalues[];
} raw_function;

typedef struct __attribute__((may_alias)) raw_frame {
  const gr_raw_item *function, *top;
  struct raw_frame *previous, *next;
  const uint32_t *code;
  void *more[3];
} raw_frame;

enum {
  FUNCTION_IN_LUA = 0x46,
  CODE_BYTES = 8 * GR_LINE_BYTES, // of one function at most, and of constants
};

static void note_value(finder *f, const raw_prototype *p,
                       const gr_raw_item *value, int depth);

// What the function's constants name in the table, and in tables there.
static void note_fields(finder *f, const raw_prototype *p,
                        const gr_raw_table *t, int depth) {
  for (int i = 0; t && i < p->constant_count; i++) {
    const gr_raw_item *constant = &p->constants[i];
    const gr_raw_string *key = constant->value.object;
    if (constant->type != GR_RAW_SHORT_STRING || !is_own(f, key, sizeof *key))
      continue;
    const gr_raw_node *node = note_field(f, t, key);
    if (node && depth > 0) {
      gr_raw_item value = {node->value, node->type};
      note_value(f, p, &value, depth - 1);
    }
  }
}

static void note_userdata(finder *f, const raw_prototype *p,
                          const gr_raw_userdata *u) {
  if (!is_own(f, u, sizeof *u))
    return;
  add(f, u, sizeof *u + (u->len < 64 ? u->len : 64));
  const gr_raw_table *meta = table_at(f, u->metatable);
  const gr_raw_node *index = meta ? find_text(f, meta, "__index") : NULL;
  if (!index)
    return;
  note_field(f, meta, index->key.object);
  if (index->type == GR_RAW_TABLE)
    note_fields(f, p, table_at(f, index->value.object), 0);
}

static void note_value(finder *f, const raw_prototype *p,
                       const gr_raw_item *value, int depth) {
  const gr_raw_table *t;
  switch (value->type) {
  case GR_RAW_TABLE:
    if ((t = table_at(f, value->value.object))) {
      add(f, t, sizeof *t);
      add(f, t->items, sizeof *t->items);
      note_fields(f, p, t, depth);
    }
    break;
  case GR_RAW_USERDATA:
    note_userdata(f, p, value->value.object);
    break;
  case FUNCTION_IN_LUA:
    if (is_own(f, value->value.object, sizeof(raw_function)))
      add(f, value->value.object, sizeof(raw_function));
    break;
  default:
    break;
  }
}

static void note_upvalues(finder *f, const raw_function *function) {
  for (unsigned i = 0; i < function->upvalue_count; i++) {
    const raw_upvalue *upvalue = function->upvalues[i];
    if (!is_own(f, upvalue, sizeof *upvalue))
      continue;
    add(f, &upvalue->value, sizeof *upvalue - offsetof(raw_upvalue, value));
    if (is_own(f, upvalue->value, sizeof *upvalue->value))
      note_value(f, function->prototype, upvalue->value, 1);
  }
}

static void note_code(finder *f, const raw_prototype *p, const raw_frame *ci) {
  size_t bytes = (size_t)p->code_count * sizeof *p->code;
  const char *from = (const char *)p->code;
  if (bytes > CODE_BYTES) { // where it is
    const char *at = (const char *)ci->code;
    if (at > from + CODE_BYTES / 2 && at < from + bytes)
      from = at - CODE_BYTES / 2;
    bytes = CODE_BYTES;
  }
  add(f, from, bytes);
}

static bool is_prototype(const finder *f, const raw_prototype *p) {
  return is_own(f, p, sizeof *p) && p->constant_count >= 0 &&
         p->code_count > 0 &&
         (p->constant_count == 0 ||
          is_own(f, p->constants,
                 (size_t)p->constant_count * sizeof *p->constants));
}

static bool is_function(const finder *f, const raw_function *function) {
  size_t bytes = sizeof *function;
  if (!is_own(f, function, bytes) ||
      (function->type | GR_RAW_COLLECTABLE) != FUNCTION_IN_LUA)
    return false;
  bytes += function->upvalue_count * sizeof *function->upvalues;
  return is_own(f, function, bytes) && is_prototype(f, function->prototype);
}

// What a frame has on the stack, if that is the state's own memory still.
static void note_stack(finder *f, const raw_prototype *p,
                       const gr_raw_item *base, const gr_raw_item *end) {
  enum { MOST = 32 };
  if (end <= base || end - base > MOST ||
      !is_own(f, base, (size_t)(end - base) * sizeof *base))
    return;
  add(f, base, (size_t)(end - base) * sizeof *base);
  for (const gr_raw_item *at = base + 1; p && at < end; at++)
    note_value(f, p, at, 0);
}

static void note_function(finder *f, const raw_function *function,
                          const raw_frame *ci) {
  const raw_prototype *p = function->prototype;
  size_t constants = (size_t)p->constant_count * sizeof *p->constants;
  add(f, function,
      sizeof *function + function->upvalue_count * sizeof *function->upvalues);
  add(f, p, sizeof *p);
  note_code(f, p, ci);
  add(f, p->constants, constants < CODE_BYTES ? constants : CODE_BYTES);
  note_upvalues(f, function);
}

// --- all ---

static void note_state(finder *f, lua_State *L) {
  add(f, L, GR_FETCH_STATE_BYTES);
}

// The function of a frame. [-0, +0, -]
static const void *function_of(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "f", ar);
  const void *function = lua_topointer(L, -1);
  lua_pop(L, 1);
  return function;
}

void gr_hot_find(lua_State *L, const char *memory, size_t bytes,
                 gr_lines *lines) {
  enum { FRAMES = 3, OF_C = 4 };
  finder f = {.memory = memory, .bytes = bytes};
  const gr_raw_item *end = NULL;
  bool found = false;
  lua_Debug ar;
  if (!gr_layout_is_known)
    return;
  note_state(&f, L);
  for (int level = 0; level < FRAMES && lua_getstack(L, level, &ar); level++) {
    const raw_frame *ci = (const void *)ar.i_ci;
    if (!is_own(&f, ci, sizeof *ci))
      break;
    const raw_function *function = function_of(L, &ar);
    bool is_in_lua = is_function(&f, function);
    add(&f, ci, sizeof *ci);
    note_stack(&f, is_in_lua ? function->prototype : NULL, ci->function,
               end ? end : ci->function + OF_C);
    end = ci->function;
    if (is_in_lua)
      note_function(&f, function, ci);
    found |= is_in_lua;
  }
  if (found) // else what is assumed is better
    publish(&f, lines);
}

void gr_hot_assume(const char *memory, lua_State *L, const char *from,
                   size_t bytes, gr_lines *lines) {
  finder f = {.memory = memory, .bytes = SIZE_MAX / 2};
  note_state(&f, L);
  add(&f, from, bytes);
  publish(&f, lines);
}
