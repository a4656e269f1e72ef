// SPDX-License-Identifier: MIT
// go.configure{ preload = names }: modules that are loaded once, in a state of
// which full states are copies from then on.
#include <lauxlib.h>
#include <string.h>

#include "lib/lib.h"
#include "value/block.h"
#include "value/finalizer.h"
#include "value/image.h"
#include "value/module.h"
#include "value/notes.h"
#include "value/shape.h"

struct gr_preload {
  gr_block *call;  // a function that gives `require`, and the list
  gr_image *image; // NULL: why_not tells
  const char *why_not;
  uint64_t refused; // those of the list that are left out
  bool has_c_modules;
};

// One for each list that has been set, with where modules were looked for then.
// Those that are counted are constant.
static struct {
  gr_lock lock;
  unsigned count;          // guarded by lock, as the next
  bool taken[GR_PRELOADS]; // by those that are counted, or being made
  gr_preload *all[GR_PRELOADS];
  gr_preload room[GR_PRELOADS];
} preloads = {.lock = GR_LOCK_STATIC(GR_RANK_LEAF)};

// --- making one ---

// A function that returns `require`, and the list, as a block: since it
// mentions the names, it brings along where these modules are found. [-0, +0,
// v]
static gr_block *encode_call(lua_State *L, int list) {
  luaL_Buffer b;
  int count = (int)lua_rawlen(L, list);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "return require");
  for (int i = 1; i <= count; i++) {
    luaL_addstring(&b, ", '");
    lua_rawgeti(L, list, i);
    luaL_addvalue(&b);
    luaL_addstring(&b, "'");
  }
  luaL_pushresult(&b);
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  if (luaL_loadbufferx(L, text, len, "=(preload)", "t") != LUA_OK)
    lua_error(L);
  lua_pushvalue(L, list);
  gr_block *call = gr_block_encode(L, 2, GR_VALUES_CALL);
  lua_pop(L, 1); // the text
  return call;
}

static int count_finalizers(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT, 0); // what is garbage is finalized
  lua_gc(L, LUA_GCCOLLECT, 0);
  return gr_finalizer_count(L);
}

// In place of the finalizer that unloads the libraries of C modules, which
// copies share.
static void keep_libraries(lua_State *L, gr_preload *p) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
    p->has_c_modules = lua_rawlen(L, -1) > 0;
    lua_pushnil(L);
    lua_setmetatable(L, -2);
  }
  lua_pop(L, 1);
}

// preload. Raises an error without a value if a module is to be left out: then
// the others are loaded anew.
static int load(lua_State *L) {
  gr_preload *p = lua_touserdata(L, 1);
  uint64_t refused = p->refused;
  lua_settop(L, 0);
  gr_block_push_call(L, p->call);
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1); // function, list, require
  int names = (int)lua_rawlen(L, 2), kept = count_finalizers(L);
  for (int i = 0; i < names; i++) {
    if (refused >> i & 1)
      continue;
    lua_pushvalue(L, 3);
    lua_rawgeti(L, 2, i + 1);
    lua_call(L, 1, 0);
    int keeps = count_finalizers(L);
    if (keeps > kept)
      p->refused |= UINT64_C(1) << i;
    kept = keeps;
  }
  keep_libraries(L, p);
  if (p->refused != refused) {
    lua_pushnil(L);
    lua_error(L);
  }
  gr_shapes_forget(L); // modules may have sent and received
  gr_modules_forget(L);
  gr_notes_forget(L);
  lua_settop(L, 0);
  return 0;
}

// preload; its number
static int build(lua_State *L) {
  gr_preload *p = lua_touserdata(L, 1);
  p->image =
      gr_image_preload(L, (unsigned)lua_tointeger(L, 2), load, p, &p->why_not);
  return 0;
}

// Code of the modules runs in the state that is made, as if it were C code of
// the running goroutine.
static int build_apart(lua_State *L, gr_preload *p, unsigned number) {
  gr_goroutine *g = gr_self();
  lua_State *current = g->current;
  bool is_lean = g->is_lean;
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, p);
  lua_pushinteger(L, (lua_Integer)number);
  g->is_lean = false;
  int failed = lua_pcall(L, 2, 0, 0);
  g->is_lean = is_lean;
  g->current = current;
  return failed;
}

static bool is_same(const gr_block *a, const gr_block *b) {
  return a->bytes == b->bytes && !memcmp(a->items, b->items, a->bytes) &&
         a->setting_count == b->setting_count &&
         a->handle_count + b->handle_count == 0;
}

static const gr_preload *find(const gr_block *call) {
  const gr_preload *found = NULL;
  gr_lock_lock(&preloads.lock);
  for (unsigned i = 0; i < preloads.count && !found; i++)
    if (is_same(preloads.all[i]->call, call))
      found = preloads.all[i];
  gr_lock_unlock(&preloads.lock);
  return found;
}

// GR_PRELOADS: there are no more.
static unsigned take_number(void) {
  gr_lock_lock(&preloads.lock);
  unsigned number = 0;
  while (number < GR_PRELOADS && preloads.taken[number])
    number++;
  if (number < GR_PRELOADS)
    preloads.taken[number] = true;
  gr_lock_unlock(&preloads.lock);
  return number;
}

static void give_back(unsigned number) {
  gr_lock_lock(&preloads.lock);
  preloads.taken[number] = false;
  gr_lock_unlock(&preloads.lock);
}

static void add(gr_preload *p) {
  gr_lock_lock(&preloads.lock);
  preloads.all[preloads.count++] = p;
  gr_lock_unlock(&preloads.lock);
}

const gr_preload *gr_preload_get(lua_State *L, int list, const char **why_not) {
  gr_block *call = encode_call(L, list);
  const gr_preload *known = find(call);
  unsigned number = known ? 0 : take_number();
  if (known || number == GR_PRELOADS) {
    gr_block_release(call);
    *why_not = "too many different lists";
    return known;
  }
  gr_preload *p = &preloads.room[number];
  *p = (gr_preload){.call = call};
  uint64_t refused;
  int failed, top = lua_gettop(L);
  do {
    lua_settop(L, top);
    refused = p->refused;
    failed = build_apart(L, p, number);
  } while (failed && p->refused != refused);
  if (failed) {
    gr_block_release(call);
    give_back(number);
    *why_not = lua_tostring(L, -1);
    return NULL;
  }
  gr_count(GR_COUNT_BLOCKS, -1); // it stays as long as the process
  add(p);
  return p;
}

// --- using one ---

lua_State *gr_preload_copy(gr_home *at) {
  const gr_preload *p = gr_settings_get_preload();
  lua_State *L = p && p->image ? gr_image_copy_preloaded(p->image, at) : NULL;
  if (L && p->has_c_modules)
    gr_loading_become_foreign();
  return L;
}

void gr_preload_push_names(lua_State *L, const gr_preload *p) {
  gr_block_push(L, p->call);
  lua_remove(L, -2);
}

bool gr_preload_push_failure(lua_State *L, const gr_preload *p) {
  if (!p->image) {
    lua_pushstring(L, p->why_not);
    return true;
  }
  if (!p->refused)
    return false;
  luaL_Buffer b;
  gr_preload_push_names(L, p);
  int names = lua_gettop(L);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "keeps an object with a finalizer:");
  for (int i = 0; i < GR_PRELOAD_NAMES; i++)
    if (p->refused >> i & 1) {
      luaL_addstring(&b, " ");
      lua_rawgeti(L, names, i + 1);
      luaL_addvalue(&b);
    }
  luaL_pushresult(&b);
  lua_remove(L, names);
  return true;
}
