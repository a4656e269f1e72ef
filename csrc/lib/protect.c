// SPDX-License-Identifier: MIT
// pcall and xpcall, as the stock ones but for one thing: an error that the
// goroutine may not go on after is not kept by them. And the limit on CPU time
// that needs it: the error comes once; code that catches it and goes on for a
// grace gets it again, and is then ended as by go.exit.
#include <string.h>

#include "lib/lib.h"
#include "sched/frame.h"
#include "sched/preempt.h"
#include "sync/cancel.h"

static const char OVER[] = "cpu limit exceeded";

// A tenth of the limit, for tidying up.
static uint64_t grace_ns(const gr_task *task) {
  uint64_t tenth = task->cpu_limit_ns / 10;
  return tenth > 1000000 ? tenth : 1000000;
}

void gr_protect_strike(lua_State *L) {
  gr_goroutine *g = gr_self();
  gr_task *task = g->owner;
  if (!(atomic_load(&g->struck) & GR_STRUCK_CPU))
    return;
  uint64_t used_ns = atomic_load(&g->cpu_used_ns) + gr_thread_cpu_ns() -
                     atomic_load(&g->cpu_since_ns);
  atomic_store(&g->cpu_limit_ns, used_ns + grace_ns(task));
  atomic_fetch_and(&g->struck, ~(unsigned)GR_STRUCK_CPU);
  task->strikes++;
  lua_pushstring(L, OVER);
  lua_error(L);
}

// In a hook, `count` instructions after it was set.
static void strike(lua_State *L, int count) {
  gr_run_end_with_family(L, gr_self());
  gr_protect_strike(L);
  gr_cancel_in_hook(L, count);
}

void gr_protect_caught(lua_State *L) {
  gr_goroutine *g = gr_self();
  gr_task *task = g ? g->owner : NULL;
  if (GR_UNLIKELY(task && task->strikes > 1 && !task->is_ending))
    gr_run_fail(L, OVER);
}

// --- pcall and xpcall ---

// The results lie above `extra` values and `true`.
static int finish(lua_State *L, int status, lua_KContext extra) {
  if (GR_LIKELY(status == LUA_OK || status == LUA_YIELD))
    return lua_gettop(L) - (int)extra;
  gr_protect_caught(L);
  if (status == LUA_ERRMEM) // buffers of strings do not wait for the collector
    lua_gc(L, LUA_GCCOLLECT, 0);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

int gr_protect_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish);
  return finish(L, status, 0);
}

static int base_xpcall(lua_State *L) {
  int count = lua_gettop(L) - 2;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); // f, handler, true, f, arguments
  int status = lua_pcallk(L, count, LUA_MULTRET, 2, 2, finish);
  return finish(L, status, 2);
}

// --- where it is ---

// Where the function that pcall or xpcall calls lies in its frame; 0: it is
// neither.
static int place_of_callee(lua_CFunction function) {
  if (function == gr_protect_pcall || function == gr_run_call)
    return 2;
  return function == base_xpcall ? 4 : 0;
}

// The frame is a call that the one below, of pcall or xpcall, has not been
// asked for: of a handler, which Lua runs there after an error.
static bool is_unwinding(lua_State *L, lua_Debug *ar, lua_Debug *below) {
  lua_getinfo(L, "f", below);
  int place = place_of_callee(lua_tocfunction(L, -1));
  lua_pop(L, 1);
  if (!place || !lua_getlocal(L, below, place))
    return false;
  lua_getinfo(L, "f", ar);
  bool is_asked_for = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return !is_asked_for;
}

static bool is_metamethod_handler(const lua_Debug *ar) {
  return *ar->namewhat == 'm' &&
         (!strcmp(ar->name, "close") || !strcmp(ar->name, "__gc"));
}

static bool is_finalizing(lua_State *L) {
  lua_Debug ar;
  bool is = false;
  bool more = lua_getstack(L, 0, &ar);
  for (int level = 1; more && !is; level++) {
    lua_getinfo(L, "n", &ar);
    is = *ar.namewhat == 'm' && !strcmp(ar.name, "__gc");
    more = gr_frame_go_below(L, &ar, level);
  }
  return is;
}

bool gr_protect_is_finalizing(lua_State *L) {
  bool is = is_finalizing(L);
  for (gr_resume *r = gr_self()->resumes; r && !is; r = r->outer)
    is = is_finalizing(r->from);
  return is;
}

// What a walk from the innermost frame outwards has come by.
typedef struct walk {
  unsigned scopes; // calls of go.with_timeout
  bool has_shield; // there is one to be looked for
  gr_reach reach;
} walk;

static void meet_handler(walk *w) {
  if (w->reach.free == GR_ALL_SCOPES)
    w->reach.free = w->scopes;
}

static void meet_shield(walk *w) {
  meet_handler(w);
  w->reach.shielded = w->scopes;
}

// Nothing further out changes the outcome.
static bool is_done(const walk *w) {
  return w->reach.shielded != GR_ALL_SCOPES ||
         (w->reach.free != GR_ALL_SCOPES && !w->has_shield);
}

static void walk_stack(lua_State *L, walk *w) {
  lua_Debug ar, below;
  bool more = lua_getstack(L, 0, &ar);
  for (int level = 1; more && !is_done(w); level++, ar = below) {
    lua_getinfo(L, "nf", &ar);
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    if (function == gr_cancel_shield)
      meet_shield(w);
    else if (function == gr_cancel_with_timeout)
      w->scopes++;
    below = ar;
    more = gr_frame_go_below(L, &below, level);
    if (is_metamethod_handler(&ar) || (more && is_unwinding(L, &ar, &below)))
      meet_handler(w);
  }
}

gr_reach gr_protect_reach(lua_State *L) {
  gr_goroutine *g = gr_self();
  gr_task *task = g->owner;
  walk w = {.has_shield = task->shields > 0,
            .reach = {GR_ALL_SCOPES, GR_ALL_SCOPES}};
  gr_resume *r = g->resumes;
  for (lua_State *at = L; at && !is_done(&w); r = r->outer) {
    if (!lua_checkstack(at, 4))
      return (gr_reach){0, 0}; // a wait without an end is better than a fault
    walk_stack(at, &w);
    at = r ? r->from : NULL;
    if (r ? r->is_closing : task->is_ending)
      meet_handler(&w);
    if (!r)
      break;
  }
  return w.reach;
}

static const luaL_Reg functions[] = {
    {"pcall", gr_protect_pcall}, {"xpcall", base_xpcall}, {NULL, NULL}};

void gr_lib_protect(lua_State *L) {
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

// Once, before there are threads.
__attribute__((constructor)) static void set_hook(void) {
  gr_preempt_on_strike = strike;
}
