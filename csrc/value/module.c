// SPDX-License-Identifier: MIT
#include "value/module.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "value/image.h"

// From objects to names, weak in its objects; and its filter.
static const char index_key, filter_key;

// --- what every new state has ---

enum { NAMES_ROOM = 1024, NAMES_MAX = NAMES_ROOM / 2 };

// Found in a state made for this, once, before there are goroutines; constant.
static struct {
  char *path, *cpath;
  char *names; // "library.name" each, ended by a zero byte; then an empty one
  const char *by_name[NAMES_ROOM];
  lua_CFunction functions[200];
  int function_count;
  lua_CFunction searchers[GR_SEARCHERS];
} stock;

const char *const gr_module_extensible[GR_EXTENSIBLE] = {
    "string", "table", "math", "os", "io", "utf8", "coroutine", "debug"};

bool gr_module_is_extensible(const char *name) {
  for (int i = 0; i < GR_EXTENSIBLE; i++)
    if (!strcmp(gr_module_extensible[i], name))
      return true;
  return false;
}

static const char *const libraries[] = {
    "_G",   "string", "table",   "math",      "os", "io",
    "utf8", "debug",  "package", "coroutine", NULL};

static bool is_library(const char *name) {
  for (int i = 0; libraries[i]; i++)
    if (!strcmp(libraries[i], name))
      return true;
  return false;
}

static int find_out(lua_State *L) {
  luaL_Buffer b;
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, 1, "path");
  lua_getfield(L, 1, "cpath");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_newtable(L); // names, in a list: [5]
  int n = 0;
  for (int i = 0; libraries[i]; i++) {
    lua_getfield(L, 4, libraries[i]);
    lua_pushnil(L);
    while (lua_next(L, 6)) {
      if (lua_iscfunction(L, -1) && !lua_getupvalue(L, -1, 1) &&
          stock.function_count < 200)
        stock.functions[stock.function_count++] = lua_tocfunction(L, -1);
      lua_settop(L, 7);
      lua_pushfstring(L, "%s.%s", libraries[i], lua_tostring(L, -1));
      lua_rawseti(L, 5, ++n);
    }
    lua_settop(L, 5);
  }
  lua_getfield(L, 1, "searchers");
  for (int i = 0; i < GR_SEARCHERS; i++) {
    lua_rawgeti(L, 6, i + 1);
    stock.searchers[i] = lua_tocfunction(L, -1);
  }
  lua_settop(L, 5);
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 5, i);
    luaL_addvalue(&b);
    luaL_addchar(&b, '\0');
  }
  luaL_addchar(&b, '\0');
  luaL_pushresult(&b);
  size_t bytes;
  const char *names = lua_tolstring(L, -1, &bytes);
  stock.path = strdup(lua_tostring(L, 2));
  stock.cpath = strdup(lua_tostring(L, 3));
  stock.names = malloc(bytes);
  if (stock.names)
    memcpy(stock.names, names, bytes);
  if (n > NAMES_MAX)
    luaL_error(L, "too many standard names");
  return 0;
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t) * (const lua_CFunction *)a,
            y = (uintptr_t) * (const lua_CFunction *)b;
  return x < y ? -1 : x > y;
}

// The place of "library.name" in the table, or the free one where it would be.
static const char **find_standard(const char *library, const char *name) {
  uint32_t hash = 2166136261; // Fowler, Noll and Vo's
  for (const char *at = library; *at; at++)
    hash = (hash ^ (unsigned char)*at) * 16777619;
  for (const char *at = name; *at; at++)
    hash = (hash ^ (unsigned char)*at) * 16777619;
  size_t len = strlen(library);
  for (unsigned i = hash % NAMES_ROOM;; i = (i + 1) % NAMES_ROOM) {
    const char *at = stock.by_name[i];
    if (!at || (!strncmp(at, library, len) && at[len] == '.' &&
                !strcmp(at + len + 1, name)))
      return &stock.by_name[i];
  }
}

static void sort_names(void) {
  for (const char *at = stock.names; *at; at += strlen(at) + 1) {
    char library[32];
    size_t len = strcspn(at, ".");
    memcpy(library, at, len);
    library[len] = '\0';
    *find_standard(library, at + len + 1) = at;
  }
}

bool gr_modules_init(void) {
  lua_State *L = luaL_newstate();
  if (!L)
    return false;
  lua_pushcfunction(L, find_out);
  bool done = lua_pcall(L, 0, 0, 0) == LUA_OK && stock.path && stock.cpath &&
              stock.names;
  lua_close(L);
  qsort(stock.functions, (size_t)stock.function_count, sizeof *stock.functions,
        by_address);
  if (done)
    sort_names();
  return done;
}

bool gr_module_is_standard(const char *library, const char *name) {
  return *find_standard(library, name) != NULL;
}

const char *gr_module_default_path(bool is_c) {
  return is_c ? stock.cpath : stock.path;
}

int gr_module_searcher(lua_State *L, int index) {
  lua_CFunction function = lua_tocfunction(L, index);
  for (int i = 0; function && i < GR_SEARCHERS; i++)
    if (stock.searchers[i] == function)
      return i + 1;
  return 0;
}

// A C function that is the same in every state.
static bool is_stock_function(lua_State *L, int index) {
  lua_CFunction function = lua_tocfunction(L, index);
  return function &&
         bsearch(&function, stock.functions, (size_t)stock.function_count,
                 sizeof function, by_address) != NULL;
}

// --- the index ---

static bool can_be_named(lua_State *L, int index) {
  switch (lua_type(L, index)) {
  case LUA_TFUNCTION:
    return !is_stock_function(L, index);
  case LUA_TTABLE:
  case LUA_TUSERDATA:
    return true;
  default:
    return false;
  }
}

// True if package.<field> leads to the module.
static bool is_on_path(lua_State *L, const char *name, const char *field) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  bool found = false;
  if (lua_getfield(L, -1, "package") == LUA_TTABLE &&
      lua_getfield(L, -1, "searchpath") == LUA_TFUNCTION) {
    lua_pushstring(L, name);
    lua_getfield(L, -3, field);
    found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1);
  }
  lua_settop(L, top);
  return found;
}

int gr_module_find_searcher(lua_State *L, int list) {
  for (int i = 1; i <= GR_SEARCHERS; i++) {
    lua_rawgeti(L, list, i);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (is)
      return i;
  }
  return 0;
}

// True if one of the program's own searchers finds the module.
static bool is_found(lua_State *L, const char *name) {
  int top = lua_gettop(L);
  bool found = false;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, GR_SEARCHERS_KEY);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE &&
      lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
    int searchers = lua_gettop(L), count = (int)lua_rawlen(L, searchers);
    for (int i = 1; i <= count && !found; i++) {
      lua_rawgeti(L, searchers, i);
      if (gr_module_find_searcher(L, top + 1) == 0) {
        lua_pushstring(L, name);
        found = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isfunction(L, -1);
      }
      lua_settop(L, searchers);
    }
  }
  lua_settop(L, top);
  return found;
}

// True if `require` of the name works in another state.
static bool can_be_required(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  bool has_loader = lua_getfield(L, -1, name) != LUA_TNIL;
  lua_pop(L, 2);
  char root[200];
  size_t root_len = strcspn(name, ".");
  if (has_loader || is_on_path(L, name, "path") ||
      is_on_path(L, name, "cpath") || is_found(L, name))
    return true;
  if (!name[root_len] || root_len >= sizeof root)
    return false;
  memcpy(root, name, root_len);
  root[root_len] = '\0';
  return is_on_path(L, root, "cpath");
}

static const void **place_of(const gr_modules_seen *seen, const void *table) {
  uint64_t hash = (uint64_t)(uintptr_t)table * 0x9E3779B97F4A7C15u;
  uint32_t i = (uint32_t)(hash >> 32) & (seen->room - 1);
  while (seen->tables[i] && seen->tables[i] != table)
    i = (i + 1) & (seen->room - 1);
  return &seen->tables[i];
}

bool gr_modules_may_have_table(const gr_modules_seen *seen, const void *table) {
  return gr_modules_may_have(seen, table) && seen->room > 0 &&
         *place_of(seen, table);
}

// The filter is on top. [-0, +0]
static void grow_tables(lua_State *L, gr_modules_seen *seen) {
  enum { ROOM_MIN = 64 };
  gr_modules_seen old = *seen;
  uint32_t room = old.room ? 2 * old.room : ROOM_MIN;
  const void **tables = lua_newuserdatauv(L, room * sizeof *tables, 0);
  memset(tables, 0, room * sizeof *tables);
  seen->tables = tables;
  seen->room = room;
  for (uint32_t i = 0; i < old.room; i++)
    if (old.tables[i])
      *place_of(seen, old.tables[i]) = old.tables[i];
  lua_setiuservalue(L, -2, 1);
}

// Notes the object at the index in the filter.
static void note(lua_State *L, int object) {
  const void *address = lua_topointer(L, object);
  unsigned bit = gr_modules_bit(address);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &filter_key);
  gr_modules_seen *seen = lua_touserdata(L, -1);
  if (lua_istable(L, object)) {
    if (2 * seen->count >= seen->room)
      grow_tables(L, seen);
    const void **place = place_of(seen, address);
    seen->count += !*place;
    *place = address;
  }
  seen->words[bit / 64] |= (uint64_t)1 << bit % 64;
  lua_pop(L, 1);
}

// Gives the object on top the name below it, unless it has one. [-2, +0]
static void set_name(lua_State *L, int index) {
  lua_pushvalue(L, -1);
  if (lua_rawget(L, index) == LUA_TNIL) {
    lua_pop(L, 1);
    note(L, lua_gettop(L));
    lua_insert(L, -2);
    lua_rawset(L, index);
  } else {
    lua_pop(L, 3);
  }
}

// What is found in the module on top, whose name is below it. [-0, +0]
static void add_members(lua_State *L, int index) {
  int module = lua_gettop(L), name = module - 1;
  if (!lua_istable(L, module))
    return;
  lua_pushnil(L);
  while (lua_next(L, module)) {
    if (lua_type(L, -2) == LUA_TSTRING && can_be_named(L, -1)) {
      lua_pushvalue(L, name);
      lua_pushlstring(L, "", 1);
      lua_pushvalue(L, -4);
      lua_concat(L, 3);
      lua_pushvalue(L, -2);
      set_name(L, index);
    }
    lua_pop(L, 1);
  }
}

// Of the standard libraries, what is not the same function in every state.
static void add_stock(lua_State *L, int index) {
  int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (int i = 0; libraries[i]; i++) {
    lua_pushstring(L, libraries[i]);
    if (lua_getfield(L, -2, libraries[i]) == LUA_TTABLE)
      set_name(L, index);
    else
      lua_pop(L, 2);
  }
  lua_pushliteral(L, "goroutines");
  if (lua_getfield(L, -2, "goroutines.core") == LUA_TTABLE)
    set_name(L, index);
  lua_settop(L, top + 1);
  static const char *const members[][2] = {
      {"math", "random"},     {"math", "randomseed"},  {"_G", "require"},
      {"os", "execute"},      {"io", "popen"},         {"io", "stdin"},
      {"io", "stdout"},       {"io", "stderr"},        {"package", "loaded"},
      {"package", "preload"}, {"package", "searchers"}};
  for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
    const char *library = members[i][0], *key = members[i][1];
    lua_pushstring(L, library);
    lua_pushlstring(L, "", 1);
    lua_pushstring(L, key);
    lua_concat(L, 3);
    if (lua_getfield(L, -2, library) == LUA_TTABLE &&
        lua_getfield(L, -1, key) != LUA_TNIL && can_be_named(L, -1)) {
      lua_remove(L, -2);
      set_name(L, index);
    }
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
}

// True if the module, on top with its name below, has no name in the index.
static bool is_new(lua_State *L, int index) {
  const char *name = lua_tostring(L, -2);
  if (!can_be_named(L, -1) || is_library(name) ||
      !strncmp(name, "goroutines", 10))
    return false;
  lua_pushvalue(L, -1);
  const char *known =
      lua_rawget(L, index) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return !known;
}

static void add_new(lua_State *L, int index) {
  int top = lua_gettop(L);
  lua_newtable(L); // found: name to module
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  while (lua_next(L, top + 2)) {
    if (lua_type(L, -2) == LUA_TSTRING && is_new(L, index)) {
      const char *name = lua_tostring(L, -2);
      if (can_be_required(L, name)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, top + 1);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        set_name(L, index);
      } else if (lua_istable(L, -1)) {
        lua_pushfstring(L, "%c%s", GR_MODULE_BY_HAND, name);
        lua_pushvalue(L, -2);
        set_name(L, index);
      }
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, top + 1)) {
    add_members(L, index);
    lua_pop(L, 1);
  }
  lua_settop(L, top);
}

void gr_modules_push(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key) == LUA_TTABLE)
    return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pop(L, 1);
  gr_modules_seen *seen = lua_newuserdatauv(L, sizeof *seen, 1);
  memset(seen, 0, sizeof *seen);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &filter_key);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  int index = lua_gettop(L);
  add_stock(L, index);
  add_new(L, index);
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &index_key);
}

// True if package.loaded has what the model of the copied state has not.
static bool has_more(lua_State *L, const gr_home *home) {
  size_t len;
  int top = lua_gettop(L);
  bool has = false;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  while (!has && lua_next(L, top + 1)) {
    has =
        can_be_named(L, -1) && !gr_image_name(home, lua_topointer(L, -1), &len);
    lua_settop(L, top + 2);
  }
  lua_settop(L, top);
  return has;
}

bool gr_modules_have_filter(lua_State *L, const gr_home *home,
                            const gr_modules_seen **filter) {
  *filter = NULL;
  if (home && home->modules != GR_MODULES_MORE)
    return home->modules == GR_MODULES_OF_IMAGE;
  const gr_notes *notes = home ? &home->notes : gr_notes_find(L);
  *filter = notes ? notes->filter : NULL;
  return *filter != NULL;
}

const gr_modules_seen *gr_modules_filter(lua_State *L) {
  const gr_modules_seen *filter;
  gr_home *home = gr_home_of_copy(L);
  if (home && home->modules == GR_MODULES_UNKNOWN)
    home->modules = has_more(L, home) ? GR_MODULES_MORE : GR_MODULES_OF_IMAGE;
  if (gr_modules_have_filter(L, home, &filter))
    return filter;
  gr_notes *notes = gr_notes_of(L);
  gr_modules_push(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &filter_key);
  notes->filter = filter = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return filter;
}

void gr_modules_forget(lua_State *L) {
  gr_home *home = gr_home_of_copy(L);
  if (home)
    home->modules = GR_MODULES_UNKNOWN;
  gr_notes *notes = gr_notes_find(L);
  if (notes)
    notes->filter = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &index_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &filter_key);
}

// The entries of package.loaded, in any order.
static uint64_t summarize_loaded(lua_State *L) {
  uint64_t sum = 0;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    uint64_t key = (uintptr_t)lua_topointer(L, -2);
    uint64_t value = (uintptr_t)lua_topointer(L, -1);
    sum += (key ^ value << 20) * 0x9E3779B97F4A7C15u ^ value;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return sum;
}

void gr_modules_update(lua_State *L) {
  gr_home *home = gr_home_of_copy(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (home && home->modules == GR_MODULES_OF_IMAGE)
    home->modules = GR_MODULES_UNKNOWN; // to be looked at again
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &filter_key) == LUA_TUSERDATA &&
      lua_rawgetp(L, LUA_REGISTRYINDEX, &index_key) == LUA_TTABLE) {
    gr_modules_seen *seen = lua_touserdata(L, -2);
    uint64_t loaded = summarize_loaded(L);
    if (loaded != seen->loaded)
      add_new(L, lua_gettop(L));
    seen->loaded = loaded;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

// --- in the receiver ---

void gr_module_push(lua_State *L, const char *name, size_t len) {
  size_t module_len = strlen(name);
  luaL_checkstack(L, LUA_MINSTACK, "message nested too deeply");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
  }
  lua_remove(L, -2);
  if (len == module_len)
    return;
  const char *key = name + module_len + 1;
  lua_pushlstring(L, key, len - module_len - 1);
  if (!lua_istable(L, -2))
    luaL_error(L, "module '%s' is no table here", name);
  // Parts of this module are made when they are first asked for.
  bool own = !strcmp(name, "goroutines.core");
  if ((own ? lua_gettable(L, -2) : lua_rawget(L, -2)) == LUA_TNIL)
    luaL_error(L, "module '%s' has no '%s' here", name, key);
  lua_remove(L, -2);
}
