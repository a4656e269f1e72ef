// SPDX-License-Identifier: MIT
// What each Lua state gets: the module's table, its metatables, and the
// replacements in the standard libraries. In a goroutine's state all is made
// before its function; in main's state by `require`. And the making of states
// of goroutines, with their memory.
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "lib/lib.h"
#include "sched/preempt.h"
#include "sched/runtime.h"
#include "value/code.h"
#include "value/home.h"
#include "value/image.h"
#include "value/layout.h"
#include "value/memo.h"
#include "value/module.h"
#include "value/notes.h"

static const char module_key, sentinel_key;

// The first object of a goroutine's state, so that its finalizer is the last:
// from then on the coroutine pointer would be stale, and nothing is armed.
static int end_of_goroutine(lua_State *L) {
  (void)L;
  gr_goroutine *g = gr_self();
  if (g)
    g->current = NULL;
  return 0;
}

// Main's state is being closed, which unloads C modules next: not under the
// feet of a thread that is stuck in one.
// The host may go on for long without it: nothing is armed there any more.
static int end_of_main(lua_State *L) {
  gr_goroutine *g = gr_self();
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  if (!g || gr_is_apart() || g->L != lua_tothread(L, -1))
    return 0;
  gr_run_end_main();
  bool stopped = gr_family_end();
  g->current = NULL;
  gr_preempt_disarm(L);
  if (stopped)
    return 0;
  if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
    lua_pushnil(L); // the metatable with the finalizer that unloads
    lua_setmetatable(L, -2);
  }
  return 0;
}

static void add_sentinel(lua_State *L, lua_CFunction finalizer) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, finalizer);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinel_key);
}

// Stock seeding repeats in memory that is used again.
static void seed_random(lua_State *L) {
  static _Atomic(uint64_t) counter;
  gr_random random;
  gr_random_init(&random, gr_now_ns() ^ (atomic_fetch_add(&counter, 1) << 40));
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)gr_random_next(&random));
  lua_pushinteger(L, (lua_Integer)gr_random_next(&random));
  lua_call(L, 2, 0);
  lua_pop(L, 1);
}

// go(f, ...) is go.go(f, ...) without the table.
static void make_callable(lua_State *L) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, gr_lib_index);
  lua_setfield(L, -2, "__index");
  lua_getfield(L, -2, "__go");
  lua_setfield(L, -2, "__call");
  lua_pushliteral(L, "goroutines");
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, -2);
  lua_pushnil(L);
  lua_setfield(L, -2, "__go");
}

static void make_module(lua_State *L) {
  static const char *const often[] = {"sleep", "now",  "yield", "select",
                                      "spawn", "chan", "after", NULL};
  lua_createtable(L, 0, 40);
  for (int i = 0; often[i]; i++)
    gr_reserve_field(L, often[i]);
  gr_lib_goroutine(L);
  gr_lib_time(L);
  gr_lib_channel(L);
  gr_lib_select(L);
  gr_lib_config(L);
  gr_lib_trace(L);
  gr_lib_cancel(L);
  gr_lib_context(L);
  gr_lib_sync(L);
  make_callable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
}

static void patch_libraries(lua_State *L) {
  gr_lib_coroutine(L);
  gr_lib_hook(L);
  gr_lib_standard(L);
  gr_lib_blocking(L);
  gr_lib_loading(L);
}

static void patch_base(lua_State *L) {
  gr_lib_print(L);
  gr_lib_protect(L);
}

// Pushes the module, made, and loaded by its names but what `require` sets.
static void add_module(lua_State *L, bool is_main) {
  make_module(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "goroutines.core");
  if (!is_main) {
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "goroutines");
  }
  lua_pop(L, 1);
}

void gr_state_push_module(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  add_module(L, false);
}

bool gr_state_is_open(lua_State *L) {
  bool is = lua_rawgetp(L, LUA_REGISTRYINDEX, &sentinel_key) == LUA_TUSERDATA;
  lua_pop(L, 1);
  return is;
}

void gr_state_open_main(lua_State *L) {
  if (gr_state_is_open(L)) {
    gr_state_push_module(L);
    return;
  }
  add_sentinel(L, end_of_main);
  patch_libraries(L);
  patch_base(L);
  add_module(L, true);
  gr_lib_open_parts(L);
  gr_notes_open(L);
  gr_handle_open(L);
  gr_modules_push(L); // before the program adds to its modules
  lua_pop(L, 1);
}

static int open_full(lua_State *L) {
  add_sentinel(L, end_of_goroutine);
  gr_memo_open(L);
  gr_handle_open(L);
  luaL_openlibs(L);
  seed_random(L);
  patch_libraries(L);
  patch_base(L);
  gr_channel_type.open(L);
  gr_task_type.open(L);
  add_module(L, false);
  return 0;
}

void gr_state_open(lua_State *L) {
  if (gr_state_is_open(L)) // a copy
    return;
  open_full(L);
  lua_pop(L, 1);
}

// --- states that are not full ---

static int complete(lua_State *L) {
  luaL_openlibs(L); // those that are there already stay
  seed_random(L);
  patch_libraries(L);
  gr_state_push_module(L);
  gr_modules_forget(L);
  return 0;
}

void gr_state_complete(lua_State *L) {
  gr_goroutine *g = gr_self();
  if (!g->is_lean)
    return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  bool collects = lua_gc(L, LUA_GCISRUNNING) == 1;
  lua_gc(L, LUA_GCSTOP); // a finalizer might come here, too
  lua_pushcfunction(L, complete);
  int failed = lua_pcall(L, 0, 0, 0);
  if (collects)
    lua_gc(L, LUA_GCRESTART);
  if (failed)
    lua_error(L);
  g->is_lean = false;
}

// string, key: the first use of the methods of strings.
static int index_string(lua_State *L) {
  gr_state_complete(L);
  lua_gettable(L, 1);
  return 1;
}

// Strings keep their arithmetic.
static void hide_string(lua_State *L) {
  lua_pushcfunction(L, luaopen_string);
  lua_call(L, 0, 0);
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushcfunction(L, index_string);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
}

static int open_bare(lua_State *L) {
  add_sentinel(L, end_of_goroutine);
  gr_memo_open(L);
  gr_handle_open(L);
  luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
  lua_pop(L, 1);
  hide_string(L);
  patch_base(L);
  gr_channel_type.open(L);
  return 0;
}

static int open_lean(lua_State *L) {
  open_bare(L);
  gr_task_type.open(L);
  add_module(L, false);
  return 0;
}

// --- making and closing one ---

void gr_state_lift_limit(lua_State *L) {
  gr_home_lift_limit(gr_home_of(L));
}

static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fprintf(stderr, "goroutines: unprotected error in a goroutine: %s\n",
          message ? message : "not a string");
  return 0; // Lua aborts
}

// Warnings are as in the stock interpreter: off until warn("@on").
static void warn(void *arg, const char *message, int to_continue) {
  gr_home *at = arg;
  if (!at->warning_continues && !to_continue && *message == '@') {
    if (!strcmp(message, "@on") || !strcmp(message, "@off"))
      at->warns = message[2] == 'n';
    return;
  }
  if (at->warns)
    fprintf(stderr, "%s%s%s",
            at->warning_continues ? "" : "Lua warning: ", message,
            to_continue ? "" : "\n");
  at->warning_continues = to_continue;
}

static lua_State *build(gr_home *at) {
  gr_arena_init(&at->arena);
  lua_State *L = lua_newstate(gr_home_allocate, at);
  if (!L)
    gr_arena_fini(&at->arena);
  return L;
}

static lua_State *copy(gr_home *at, const gr_block *call) {
  gr_image_kind kind = gr_block_needs(call);
  gr_code *code = gr_block_code(call);
  lua_State *L = kind == GR_IMAGE_FULL ? gr_preload_copy(at) : NULL;
  if (!L && code) {
    if (!gr_run_self()->cpu_limit_ns) // that time is not its own
      gr_image_add(kind, code);
    L = gr_image_copy(kind, code, at);
  }
  if (!L)
    L = gr_image_copy(kind, NULL, at);
  while (!L && ++kind < GR_IMAGES)
    L = gr_image_copy(kind, NULL, at);
  gr_self()->is_lean = L && kind != GR_IMAGE_FULL;
  return L;
}

lua_State *gr_state_new(gr_home *at, size_t limit, const gr_block *call) {
  gr_home_init(at, limit);
  lua_State *L = copy(at, call);
  if (!L)
    L = build(at);
  if (!L)
    return NULL;
  if (at->limit != SIZE_MAX) // garbage counts, too
    lua_gc(L, LUA_GCINC, 120, 0, 0);
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, at);
  return L;
}

void gr_state_close(lua_State *L) {
  gr_home *at = gr_home_of(L);
  gr_goroutine *g = gr_self();
  g->current = NULL; // nothing is armed, if it is let go
  if (!gr_image_drop(L, at)) {
    g->current = L;
    at->is_closing = true;
    lua_close(L);
    gr_self()->current = NULL;
    gr_handle_release_late(at);
  }
  if (!gr_is_child()) // which ends; a lock may never be free there
    gr_arena_fini(&at->arena);
}

void gr_state_abandon(lua_State *L) {
  gr_home *at = gr_home_of(L);
  gr_self()->current = NULL;
  gr_image_abandon(L);
  gr_handle_release_late(at);
  gr_arena_fini(&at->arena);
}

void gr_state_init(void) {
  gr_goroutine *g = gr_self();
  lua_State *current = g->current;
  gr_image_init(GR_IMAGE_BARE, open_bare);
  gr_image_init(GR_IMAGE_LEAN, open_lean);
  gr_image_init(GR_IMAGE_FULL, open_full);
  g->current = current; // which closing another state has cleared
  gr_message_on_code = gr_state_complete;
}
