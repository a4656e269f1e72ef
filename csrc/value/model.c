// SPDX-License-Identifier: MIT
// The state is made twice. The first time it is noted of each block that is
// asked for whether it is still there at the end; the second time those that
// are lie one behind the other, and the others elsewhere.
#include "value/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/poison.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0
#endif

enum {
  BLOCKS_MAX = 16 * 1024,
  HEADER = 16,
  FIRST = GR_ARENA_HEADER / sizeof(uintptr_t), // word that is copied
};

// What becomes of the n-th block.
typedef struct fate {
  uint32_t bytes;
  bool is_freed;
} fate;

typedef struct builder {
  gr_model *model;
  fate *fates;
  uint32_t count;  // of blocks until now
  bool is_first;   // time
  bool has_failed; // it goes otherwise than the first time
  char *elsewhere, *elsewhere_at;
  uint32_t left_elsewhere; // blocks not yet freed
} builder;

// --- the first time ---

static void note_freed(builder *b, void *block) {
  uint32_t number;
  memcpy(&number, (char *)block - HEADER, sizeof number);
  b->fates[number].is_freed = true;
  free((char *)block - HEADER);
}

static void *note_new(builder *b, size_t bytes) {
  char *block = b->count < BLOCKS_MAX && bytes < GR_MODEL_BYTES
                    ? malloc(HEADER + bytes)
                    : NULL;
  if (!block)
    return NULL;
  b->fates[b->count] = (fate){(uint32_t)bytes, false};
  memcpy(block, &b->count, sizeof b->count);
  b->count++;
  return block + HEADER;
}

// --- the second time ---

static bool is_elsewhere(const builder *b, const void *block) {
  return (const char *)block >= b->elsewhere &&
         (const char *)block < b->elsewhere + GR_MODEL_BYTES;
}

static void give_back(builder *b, void *block, size_t bytes) {
  if (is_elsewhere(b, block)) {
    b->left_elsewhere--;
    return;
  }
  b->has_failed = true; // it was to stay
  gr_arena_resize(&b->model->home.arena, block, bytes, 0);
}

static void *place(builder *b, size_t bytes) {
  uint32_t number = b->count++;
  if (number >= BLOCKS_MAX || b->fates[number].bytes != bytes) {
    b->has_failed = true;
    return NULL;
  }
  if (!b->fates[number].is_freed) {
    b->model->home.used += bytes;
    return gr_arena_resize(&b->model->home.arena, NULL, 0, bytes);
  }
  char *block = b->elsewhere_at;
  size_t rounded = (bytes + HEADER - 1) / HEADER * HEADER;
  if ((size_t)(b->elsewhere + GR_MODEL_BYTES - block) < rounded)
    return NULL;
  b->elsewhere_at += rounded;
  b->left_elsewhere++;
  return block;
}

// --- both ---

// Each block that changes its size is a new one.
static void *allocate(void *arg, void *block, size_t old_bytes,
                      size_t new_bytes) {
  builder *b = arg;
  void *made = NULL;
  if (new_bytes > 0) {
    made = b->is_first ? note_new(b, new_bytes) : place(b, new_bytes);
    if (!made)
      return NULL;
    if (block)
      memcpy(made, block, old_bytes < new_bytes ? old_bytes : new_bytes);
  }
  if (block && b->is_first)
    note_freed(b, block);
  else if (block)
    give_back(b, block, old_bytes);
  return made;
}

static lua_State *make(builder *b, lua_CFunction fill, void *argument) {
  b->count = 0;
  lua_State *L = lua_newstate(allocate, b);
  if (!L)
    return NULL;
  lua_pushcfunction(L, fill);
  lua_pushlightuserdata(L, argument);
  bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (done)
    return L;
  if (b->is_first)
    lua_close(L);
  return NULL;
}

static const char *make_twice(builder *b, lua_CFunction fill, void *argument) {
  gr_model *model = b->model;
  b->is_first = true;
  lua_State *first = make(b, fill, argument);
  if (!first)
    return "a model cannot be made";
  fate *noted = b->fates;
  fate *unused = malloc(BLOCKS_MAX * sizeof *unused);
  b->fates = unused; // what closing it frees is not noted
  if (unused)
    lua_close(first);
  b->fates = noted;
  free(unused);
  b->is_first = false;
  model->L = make(b, fill, argument);
  return model->L && !b->has_failed && !b->left_elsewhere
             ? NULL
             : "a model is made otherwise each time";
}

static void *map(uintptr_t at, size_t bytes) {
  void *memory = mmap((void *)at, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory == (void *)at)
    return memory;
  if (memory != MAP_FAILED)
    munmap(memory, bytes);
  return NULL;
}

// Which words point into the model. (Others may point to where blocks were that
// are gone, as in any state.)
static const char *find_places(gr_model *model) {
  size_t words = model->bytes / sizeof(uintptr_t);
  uintptr_t from = (uintptr_t)model->memory, to = from + model->bytes;
  model->places = malloc(words * sizeof *model->places);
  model->is_place = calloc(words, sizeof *model->is_place);
  if (!model->places || !model->is_place)
    return "no memory for a model";
  for (size_t i = FIRST; i < words; i++) {
    uintptr_t word = ((uintptr_t *)(void *)model->memory)[i];
    if (word >= from && word <= to) { // there are pointers to the end of blocks
      model->places[model->place_count++] = (uint16_t)i;
      model->is_place[i] = -1;
    }
  }
  return NULL;
}

// --- copying ---

static void copy_then_change(const gr_model *model, ptrdiff_t distance) {
  uintptr_t *to = (uintptr_t *)(void *)(model->memory + distance);
  uintptr_t more = (uintptr_t)distance;
  memcpy(to + FIRST, model->home.arena.low, model->bytes - GR_ARENA_HEADER);
  const uint16_t *at = model->places, *end = at + model->place_count;
  for (; end - at >= 4; at += 4) {
    to[at[0]] += more;
    to[at[1]] += more;
    to[at[2]] += more;
    to[at[3]] += more;
  }
  for (; at < end; at++)
    to[*at] += more;
}

#if defined __x86_64__ && !defined GR_ASAN && !defined GR_TSAN
// Both in one go, eight words at a time: in less than half of the time. (With
// AVX2, four at a time, it is hardly less.)
__attribute__((target("avx512f"))) static void
copy_by_vectors(const gr_model *model, ptrdiff_t distance) {
  enum { WORDS = 8 };
  const uintptr_t *from = (const uintptr_t *)(const void *)model->memory;
  uintptr_t *to = (uintptr_t *)(void *)(model->memory + distance);
  const int8_t *is_place = model->is_place;
  size_t i = FIRST, count = model->bytes / sizeof *to;
  const __m512i more = _mm512_set1_epi64(distance);
  for (; i + WORDS <= count; i += WORDS) {
    __m128i places = _mm_loadl_epi64((const void *)(is_place + i));
    __m512i are = _mm512_cvtepi8_epi64(places);
    __m512i words = _mm512_loadu_si512(from + i);
    words = _mm512_add_epi64(words, _mm512_and_si512(are, more));
    _mm512_storeu_si512(to + i, words);
  }
  for (; i < count; i++)
    to[i] = from[i] + (uintptr_t)(distance & is_place[i]);
}

static void choose_copy(gr_model *model) {
  bool has_vectors = __builtin_cpu_supports("avx512f");
  model->copy = has_vectors ? copy_by_vectors : copy_then_change;
}
#else
static void choose_copy(gr_model *model) {
  model->copy = copy_then_change;
}
#endif

// --- all ---

static const char *seal(gr_model *model, size_t bytes) {
  model->bytes = gr_arena_seal(&model->home.arena);
  choose_copy(model);
  const char *failure = find_places(model);
  mprotect(model->memory, bytes, PROT_READ);
  return failure;
}

const char *gr_model_build(gr_model *model, uintptr_t at, lua_CFunction fill,
                           void *argument) {
  builder b = {.model = model, .fates = calloc(BLOCKS_MAX, sizeof(fate))};
  model->memory = map(at, GR_MODEL_BYTES);
  b.elsewhere = b.elsewhere_at = map(at + GR_MODEL_BYTES, GR_MODEL_BYTES);
  const char *failure = "no memory for a model at its address";
  if (b.fates && model->memory && b.elsewhere) {
    gr_home_init(&model->home, 0);
    gr_arena_init_fixed(&model->home.arena, model->memory, GR_MODEL_BYTES);
    failure = make_twice(&b, fill, argument);
  }
  if (!failure)
    failure = seal(model, GR_MODEL_BYTES);
  free(b.fates);
  if (b.elsewhere)
    munmap(b.elsewhere, GR_MODEL_BYTES);
  return failure;
}

// Blocks begin as zeros, also where others were, and never change their size:
// what is between their fields is not left of something else.
static void *allocate_clean(void *arg, void *block, size_t old_bytes,
                            size_t new_bytes) {
  gr_home *home = arg;
  if (!block)
    old_bytes = 0;
  void *made = NULL;
  if (new_bytes > 0) {
    made = gr_arena_resize(&home->arena, NULL, 0, new_bytes);
    if (!made)
      return NULL; // also for less: then there will be no model
    memset(made, 0, new_bytes);
    if (block)
      memcpy(made, block, old_bytes < new_bytes ? old_bytes : new_bytes);
  }
  home->used += new_bytes - old_bytes;
  if (old_bytes > 0) {
    memset(block, 0, old_bytes);
    gr_arena_resize(&home->arena, block, old_bytes, 0);
  }
  return made;
}

static bool fill_once(gr_model *model, lua_CFunction fill, void *argument,
                      lua_State *to) {
  lua_State *L = lua_newstate(allocate_clean, &model->home);
  if (!L)
    return false;
  lua_pushcfunction(L, fill);
  lua_pushlightuserdata(L, argument);
  int status = lua_pcall(L, 1, 0, 0);
  if (status == LUA_OK) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    model->L = L;
    return true;
  }
  if (status != LUA_ERRMEM && lua_checkstack(to, 1)) {
    const char *message = lua_tostring(L, -1);
    lua_pushstring(to, message ? message : "(an error that is no string)");
  }
  lua_close(L);
  return false;
}

const char *gr_model_build_once(gr_model *model, uintptr_t at,
                                lua_CFunction fill, void *argument,
                                lua_State *to) {
  model->memory = map(at, GR_MODEL_ONCE_BYTES);
  if (!model->memory)
    return "no memory for a model at its address";
  gr_home_init(&model->home, 0);
  gr_arena_init_fixed(&model->home.arena, model->memory, GR_MODEL_ONCE_BYTES);
  if (fill_once(model, fill, argument, to))
    return seal(model, GR_MODEL_ONCE_BYTES);
  GR_UNPOISON(model->memory, GR_MODEL_ONCE_BYTES);
  munmap(model->memory, GR_MODEL_ONCE_BYTES);
  model->memory = NULL;
  return "not enough memory: 512 KB at most";
}
