// SPDX-License-Identifier: MIT
#include "value/image.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "value/code.h"
#include "value/finalizer.h"
#include "value/handle.h"
#include "value/hot.h"
#include "value/model.h"
#include "value/module.h"
#include "value/trial.h"

enum {
  ROOM_BYTES = 1536, // for more, in a copy: many need half of it
  ROWS = 1 + GR_CODES,
  RANDOM_WORDS = 4, // of the state of math.random
  FINDS = 2,
};

struct gr_image {
  // Whether there are copies: what follows is constant then. Release by who has
  // made it, acquire by who copies it.
  atomic_bool is_made;
  const char *why_not; // it is not
  gr_model model;
  lua_CFunction open;
  const gr_code *code; // the function that is loaded, or NULL
  lua_CFunction load;  // what else is, or NULL
  void *argument;
  int userdata; // that a state has
  uint64_t *random;
  const void *buffers;   // the metatable of their userdata
  lua_CFunction file_gc; // the finalizer of files
  void *newest;          // of the objects that have a finalizer
  const char *own_part;  // what all images of the kind have is before that
  gr_lines hot;
  atomic_uint finds; // how often that has been found out
  gr_pool *pool;     // its own, or, of a small function, the kind's
  gr_pool own_pool;
  struct gr_image_name {
    uint32_t at; // in the model
    uint32_t len;
    char *name;
  } * names; // by place
  uint32_t name_count;
};

// A row without a function, one for each function, and full states with
// modules.
static gr_image images[ROWS * GR_IMAGES + GR_PRELOADS];
_Static_assert(sizeof images / sizeof *images <= GR_MODELS, "room for each");
static const char mark_key, function_key;

static atomic_uint_least64_t copies, drops, seeds;
static atomic_uint function_count;

static gr_image *image_of(gr_image_kind kind, const gr_code *code) {
  unsigned row = code ? 1 + gr_code_number(code) : 0;
  return &images[row * GR_IMAGES + kind];
}

static gr_image_kind kind_of(const gr_image *image) {
  ptrdiff_t place = image - images;
  return place < ROWS * GR_IMAGES ? (gr_image_kind)(place % GR_IMAGES)
                                  : GR_IMAGE_FULL;
}

// --- making the model ---

static int do_nothing(lua_State *L) {
  (void)L;
  return 0;
}

// The newest object with a finalizer is one that lives as long as the state:
// what comes before it in the list is new in a copy.
static void add_mark(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, do_nothing);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &mark_key);
}

// Makes the metatable of buffers.
static const void *use_buffer(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinitsize(L, &b, 2 * LUAL_BUFFERSIZE);
  luaL_pushresultsize(&b, 0);
  luaL_getmetatable(L, "_UBOX*");
  return lua_topointer(L, -1);
}

static void *find_random(lua_State *L) {
  if (lua_getglobal(L, "math") != LUA_TTABLE)
    return NULL;
  if (lua_getfield(L, -1, "random") != LUA_TFUNCTION ||
      !lua_getupvalue(L, -1, 1) ||
      lua_rawlen(L, -1) != RANDOM_WORDS * sizeof(uint64_t))
    luaL_error(L, "math.random is not as expected");
  return lua_touserdata(L, -1);
}

static void add_function(lua_State *L, const gr_code *code) {
  if (luaL_loadbufferx(L, (const char *)code->bytecode.bytes,
                       code->bytecode.len, "=?", "b") != LUA_OK)
    lua_error(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
}

static int fill(lua_State *L) {
  gr_image *image = lua_touserdata(L, 1);
  lua_settop(L, 0);
  lua_pushcfunction(L, image->open);
  lua_call(L, 0, 0);
  if (image->load) {
    lua_settop(L, 0);
    lua_pushcfunction(L, image->load);
    lua_pushlightuserdata(L, image->argument);
    lua_call(L, 1, 0);
  }
  image->buffers = use_buffer(L);
  image->random = find_random(L);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE) {
    lua_getfield(L, -1, "__gc");
    image->file_gc = lua_tocfunction(L, -1);
  }
  image->own_part = image->model.home.arena.at;
  if (image->code)
    add_function(L, image->code);
  lua_gc(L, LUA_GCCOLLECT, 0);
  add_mark(L);
  return 0;
}

// --- copying ---

// Stock seeding repeats in memory that is used again.
static void seed_random(uint64_t *words) {
  gr_random random;
  gr_random_init(&random,
                 atomic_fetch_add_explicit(&seeds, 1, memory_order_relaxed));
  for (int i = 0; i < RANDOM_WORDS; i++)
    words[i] = gr_random_next(&random);
}

static lua_State *copy(gr_image *image, gr_home *home) {
  const gr_model *model = &image->model;
  if (model->home.used > home->limit)
    return NULL;
  ptrdiff_t distance = gr_arena_init_copy(&home->arena, &model->home.arena,
                                          model->bytes, image->pool);
  if (!distance)
    return NULL;
  model->copy(model, distance);
  lua_State *L = (lua_State *)(void *)((char *)model->L + distance);
  lua_setallocf(L, gr_home_allocate, home);
  if (image->random)
    seed_random((uint64_t *)(void *)((char *)image->random + distance));
  home->used = model->home.used;
  home->image = image;
  home->distance = distance;
  // Code that can change package.loaded has a full state.
  home->modules = kind_of(image) == GR_IMAGE_FULL ? GR_MODULES_UNKNOWN
                                                  : GR_MODULES_OF_IMAGE;
  return L;
}

lua_State *gr_image_copy(gr_image_kind kind, const gr_code *code,
                         gr_home *home) {
  gr_image *image = image_of(kind, code);
  if (!atomic_load_explicit(&image->is_made, memory_order_acquire))
    return NULL;
  lua_State *L = copy(image, home);
  if (L)
    atomic_fetch_add_explicit(&copies, 1, memory_order_relaxed);
  return L;
}

const gr_lines *gr_image_hot(const gr_home *home, const char **memory) {
  const gr_image *image = home->image;
  if (!image)
    return NULL;
  *memory = image->model.memory + home->distance;
  return &image->hot;
}

bool gr_image_looks_for_hot(const gr_home *home) {
  const gr_image *image = home->image;
  return image && image->code &&
         atomic_load_explicit(&image->finds, memory_order_relaxed) < FINDS;
}

void gr_image_find_hot(lua_State *L, unsigned time) {
  const gr_home *home = gr_home_find(L);
  if (!home || !home->image)
    return;
  gr_image *image = &images[home->image - images];
  if (!image->code ||
      !atomic_compare_exchange_strong(&image->finds, &time, time + 1))
    return;
  const char *memory = image->model.memory + home->distance;
  gr_hot_find(L, memory, (size_t)(home->arena.high - memory), &image->hot);
}

bool gr_image_take_function(lua_State *L, const gr_code *code) {
  const gr_home *home = gr_home_of(L);
  if (!home->image || home->image->code != code)
    return false;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &function_key) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
  return true;
}

// --- letting go ---

// The finalizer of the standard files, which are in the image, does nothing;
// but the program may have given them another one.
static bool has_stock_files(lua_State *L, const gr_image *image) {
  int top = lua_gettop(L);
  if (!image->file_gc)
    return true;
  if (!lua_checkstack(L, 3))
    return false;
  lua_pushliteral(L, LUA_FILEHANDLE);
  bool same = lua_rawget(L, LUA_REGISTRYINDEX) == LUA_TTABLE;
  if (same) {
    lua_pushliteral(L, "__gc");
    lua_rawget(L, -2);
    same = lua_tocfunction(L, -1) == image->file_gc;
  }
  lua_settop(L, top);
  return same;
}

static void *next_of(void *object) {
  return *(void **)object;
}

static bool wants_nothing(const gr_home *home, void *object) {
  size_t len;
  const void *metatable;
  if (gr_handle_of(object))
    return true;
  return gr_finalizer_userdata(object, &len, &metatable) &&
         metatable == (const char *)home->image->buffers + home->distance;
}

static void release(void *object) {
  gr_handle *handle = gr_handle_of(object);
  if (handle && !handle->is_late) // that is released otherwise
    gr_handle_release(handle);
}

static bool drop(lua_State *L, gr_home *home) {
  // Lua may collect garbage in the first; then nothing changes any more.
  if (!home->image || !has_stock_files(L, home->image) ||
      gr_finalizer_pending(L))
    return false;
  void *first = gr_finalizer_first(L);
  void *mark = (char *)home->image->newest + home->distance;
  for (void *at = first; at != mark; at = next_of(at))
    if (!at || !wants_nothing(home, at))
      return false;
  for (void *at = first; at != mark; at = next_of(at))
    release(at);
  return true;
}

bool gr_image_drop(lua_State *L, gr_home *home) {
  bool done = drop(L, home);
  if (done)
    atomic_fetch_add_explicit(&drops, 1, memory_order_relaxed);
  return done;
}

void gr_image_abandon(lua_State *L) {
  if (!gr_finalizer_is_known) // nor are there copies
    return;
  for (void *at = gr_finalizer_first(L); at; at = next_of(at))
    release(at);
  for (void *at = gr_finalizer_pending(L); at; at = next_of(at))
    release(at);
}

// --- names ---

static int by_place(const void *a, const void *b) {
  uint32_t x = ((const struct gr_image_name *)a)->at;
  uint32_t y = ((const struct gr_image_name *)b)->at;
  return x < y ? -1 : x > y;
}

// Those of the copy L.
static void find_names(lua_State *L, gr_image *image, const gr_home *home) {
  uint32_t count = 0;
  gr_modules_push(L);
  lua_pushnil(L);
  for (; lua_next(L, -2); lua_pop(L, 1))
    count++;
  image->names = calloc(count, sizeof *image->names);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    size_t len;
    const char *name = lua_tolstring(L, -1, &len);
    const char *object = lua_topointer(L, -2);
    char *kept = malloc(len + 1);
    if (!image->names || !kept)
      luaL_error(L, "not enough memory");
    memcpy(kept, name, len + 1);
    image->names[image->name_count++] = (struct gr_image_name){
        (uint32_t)(object - home->distance - image->model.memory),
        (uint32_t)len, kept};
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  qsort(image->names, image->name_count, sizeof *image->names, by_place);
}

const char *gr_image_name(const gr_home *home, const void *object,
                          size_t *len) {
  const gr_image *image = home->image;
  struct gr_image_name key, *found;
  uintptr_t at = (uintptr_t)object - (uintptr_t)home->distance -
                 (uintptr_t)image->model.memory;
  if (at >= image->model.bytes)
    return NULL;
  key.at = (uint32_t)at;
  found = bsearch(&key, image->names, image->name_count, sizeof key, by_place);
  if (!found)
    return NULL;
  *len = found->len;
  return found->name;
}

// --- trying it out ---

// image
static int try_out(lua_State *L) {
  gr_image *image = lua_touserdata(L, 1);
  find_names(L, image, gr_home_of(L));
  gr_modules_forget(L);
  image->userdata = gr_trial_look(L);
  if (image->code && !gr_image_take_function(L, image->code))
    luaL_error(L, "the function is not there");
  if (!image->code && !image->load) // the rest has been tried out
    gr_trial_run(L);
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

static const char *test(gr_image *image) {
  enum { GROWN_MAX = 16 * 1024 }; // the stack, and the table of strings
  gr_home home;
  gr_home_init(&home, 0);
  lua_State *L = copy(image, &home);
  if (!L)
    return "no memory for a copy";
  lua_pushcfunction(L, try_out);
  lua_pushlightuserdata(L, image);
  const char *failure = NULL;
  if (lua_pcall(L, 1, 0, 0) != LUA_OK)
    failure = "a copy does not work";
  else if (home.used > image->model.home.used + GROWN_MAX)
    failure = "a copy does not give back its memory";
  else if (!drop(L, &home))
    failure = "a copy cannot be let go";
  if (failure)
    lua_close(L);
  gr_arena_fini(&home.arena);
  return failure;
}

// Once a process.
static void prepare(void) {
  static bool is_done;
  if (is_done)
    return;
  gr_random random;
  gr_random_init(&random, gr_now_ns() ^ (uintptr_t)&random);
  atomic_store(&seeds, gr_random_next(&random));
  is_done = true;
}

static uintptr_t address_of(const gr_image *image) {
  return GR_MODELS_AT + (uintptr_t)(image - images) * GR_MODELS_APART;
}

static const char *find_newest(gr_image *image) {
  image->newest = gr_finalizer_first(image->model.L);
  if (!image->newest || gr_finalizer_pending(image->model.L))
    return "finalizers are not as expected";
  return NULL;
}

static const char *make(gr_image *image) {
  if (!gr_finalizer_is_known)
    return "Lua is not as expected";
  prepare();
  const char *failure =
      gr_model_build(&image->model, address_of(image), fill, image);
  return failure ? failure : find_newest(image);
}

// Tries it out, with its pool, before there are other copies.
static void finish(gr_image *image, gr_pool *pool) {
  enum { OWN_BYTES = 2304 }; // the function, and what it makes first
  gr_hot_assume(image->model.memory, image->model.L, image->own_part, OWN_BYTES,
                &image->hot);
  image->pool = pool;
  image->why_not = test(image);
  atomic_store(&image->is_made, !image->why_not);
}

void gr_image_init(gr_image_kind kind, lua_CFunction open) {
  gr_image *image = image_of(kind, NULL);
  image->open = open;
  image->why_not = make(image);
  if (image->why_not)
    return;
  gr_pool_init(&image->own_pool, image->model.bytes + ROOM_BYTES);
  finish(image, &image->own_pool);
}

// --- functions ---

void gr_image_add(gr_image_kind kind, gr_code *code) {
  gr_image *image = image_of(kind, code), *plain = image_of(kind, NULL);
  if (atomic_exchange(&code->is_asked_for[kind], true) || plain->why_not)
    return;
  image->open = plain->open;
  image->code = code;
  image->why_not = make(image);
  if (image->why_not)
    return;
  size_t more = image->model.bytes - plain->model.bytes;
  bool is_small =
      image->model.bytes > plain->model.bytes && more <= ROOM_BYTES / 2;
  if (!is_small)
    gr_pool_init(&image->own_pool, image->model.bytes + ROOM_BYTES);
  finish(image, is_small ? plain->pool : &image->own_pool);
  if (!image->why_not)
    atomic_fetch_add(&function_count, 1);
}

// The upper bytes of an address are zero, and may be what follows a string in
// memory, but not here. No instructions are such: of operations there are less.
bool gr_image_may_mistake(gr_bytecode bytecode) {
  enum { BYTES = 6 };
  _Static_assert(GR_MODELS_END >> 8 * BYTES == 0, "an address has six bytes");
  for (size_t i = 0; i + BYTES <= bytecode.len; i++) {
    uintptr_t word = 0;
    memcpy(&word, bytecode.bytes + i, BYTES); // the lowest come first
    if (word >= GR_MODELS_AT && word <= GR_MODELS_END)
      return true;
  }
  return false;
}

unsigned gr_image_count_functions(void) {
  return atomic_load(&function_count);
}

// --- modules ---

gr_image *gr_image_preload(lua_State *L, unsigned number, lua_CFunction load,
                           void *argument, const char **why_not) {
  gr_image *plain = image_of(GR_IMAGE_FULL, NULL);
  gr_image *image = &images[ROWS * GR_IMAGES + number];
  *why_not = plain->why_not;
  if (plain->why_not)
    return NULL;
  *image = (gr_image){.open = plain->open, .load = load, .argument = argument};
  int top = lua_gettop(L);
  *why_not =
      gr_model_build_once(&image->model, address_of(image), fill, image, L);
  if (lua_gettop(L) > top)
    lua_error(L);
  if (!*why_not)
    *why_not = find_newest(image);
  if (!*why_not &&
      gr_finalizer_count(image->model.L) != gr_finalizer_count(plain->model.L))
    *why_not = "a module keeps an object with a finalizer";
  if (*why_not)
    return NULL;
  gr_pool_init(&image->own_pool, image->model.bytes + ROOM_BYTES);
  finish(image, &image->own_pool);
  if (!image->why_not && image->userdata != plain->userdata) {
    image->why_not = "a module keeps a userdata";
    atomic_store(&image->is_made, false);
  }
  *why_not = image->why_not;
  return *why_not ? NULL : image;
}

lua_State *gr_image_copy_preloaded(gr_image *image, gr_home *home) {
  lua_State *L = copy(image, home);
  if (L)
    atomic_fetch_add_explicit(&copies, 1, memory_order_relaxed);
  return L;
}

const char *gr_image_why_not(void) {
  for (int i = 0; i < GR_IMAGES; i++)
    if (images[i].why_not)
      return images[i].why_not;
  return NULL;
}

void gr_image_count(uint64_t *all_copies, uint64_t *all_drops) {
  *all_copies = atomic_load(&copies);
  *all_drops = atomic_load(&drops);
}
