// SPDX-License-Identifier: MIT
// Cancellation in Lua's terms: the error, and where it strikes. A goroutine
// that is cancelled gets it at each waiting call, and if it computes, in a
// hook; but not while it runs a handler or a finalizer, nor in go.shield. What
// is cancelled in there, by a go.with_timeout, strikes there.
#include "lib/lib.h"
#include "sched/preempt.h"
#include "sync/closing.h"

enum { GRACE_COUNT = 1000 }; // instructions after a wait

static void open_type(lua_State *L);

const gr_handle_type gr_cancellation_type = {
    "goroutines.cancellation", gr_object_retain, gr_object_release, open_type};

// --- the error ---

static gr_cancellation *check_self(lua_State *L, const char *name) {
  return gr_arg_self(L, &gr_cancellation_type, name);
}

// Pushes the reason, or nil.
static void push_reason(lua_State *L, const gr_cancellation *why) {
  if (why->reason)
    gr_block_push(L, why->reason);
  else
    lua_pushnil(L);
}

// Field `reason`.
static int cancellation_index(lua_State *L) {
  gr_cancellation *why = check_self(L, "index");
  lua_pushliteral(L, "reason");
  if (lua_rawequal(L, 2, -1))
    push_reason(L, why);
  else
    lua_pushnil(L);
  return 1;
}

static int cancellation_tostring(lua_State *L) {
  gr_cancellation *why = check_self(L, "tostring");
  lua_pushliteral(L, "cancelled");
  if (!why->reason)
    return 1;
  push_reason(L, why);
  lua_pushfstring(L, "cancelled: %s", luaL_tolstring(L, -1, NULL));
  return 1;
}

bool gr_cancel_is_error(lua_State *L, int index) {
  return gr_handle_test(L, index, &gr_cancellation_type) != NULL;
}

static int go_is_cancelled(lua_State *L) {
  if (lua_isnone(L, 1))
    gr_arg_error(L, 1, "is_cancelled", "value expected");
  lua_pushboolean(L, gr_cancel_is_error(L, 1));
  return 1;
}

// --- where it strikes ---

// The handlers of a cancelled goroutine may wait for so long.
static _Atomic(uint64_t) close_timeout_ns = UINT64_C(5000000000);

void gr_cancel_set_close_timeout(uint64_t ns) {
  atomic_store(&close_timeout_ns, ns);
}

uint64_t gr_cancel_get_close_timeout(void) {
  return atomic_load(&close_timeout_ns);
}

// Raises it; takes the reference over.
static void raise_cancellation(lua_State *L, gr_cancellation *why) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  gr_handle_push(L, &gr_cancellation_type, why, 0);
  lua_error(L);
}

// What may strike; with a reference, or NULL.
static gr_cancellation *free_reason(lua_State *L, gr_goroutine *g,
                                    gr_reach reach) {
  gr_cancellation *why = gr_cancel_reason(g, 0, reach.free);
  if (!why && reach.free == GR_ALL_SCOPES)
    luaL_error(L, "not enough memory"); // for the scope that it was to have
  return why;
}

// The time of the handlers begins.
static void begin_closing(lua_State *L, gr_cancellation *why) {
  uint64_t timeout_ns = gr_cancel_get_close_timeout(), now_ns = gr_now_ns();
  gr_enter();
  bool done = gr_closing_begin(
      why, timeout_ns < GR_NEVER - now_ns ? now_ns + timeout_ns : GR_NEVER - 1);
  gr_leave();
  if (!done) {
    gr_object_release(why);
    luaL_error(L, "not enough memory");
  }
}

// What handlers only hold back, and no longer; with a reference, or NULL.
static gr_cancellation *overdue_reason(lua_State *L, gr_goroutine *g,
                                       gr_reach reach) {
  gr_task *task = g->owner;
  if (gr_cancel_get_close_timeout() == GR_NEVER && !task->closing)
    return NULL;
  gr_cancellation *why = gr_cancel_reason(g, reach.free, reach.shielded);
  if (!why)
    return NULL;
  if (!task->closing || task->closing->why != why)
    begin_closing(L, why);
  if (task->closing->deadline_ns <= gr_now_ns())
    return why;
  gr_object_release(why);
  return NULL;
}

void gr_cancel_at_wait(lua_State *L) {
  gr_goroutine *g = gr_self();
  gr_run_end_with_family(L, g);
  gr_protect_strike(L); // one that waits often may never see a hook
  unsigned struck = atomic_load(&g->struck); // before what it tells of
  if (!(struck & GR_STRUCK_CANCEL))
    return;
  gr_reach reach = gr_protect_reach(L);
  gr_cancellation *why = free_reason(L, g, reach);
  if (!why)
    why = overdue_reason(L, g, reach);
  if (why)
    raise_cancellation(L, why);
  g->ignored = struck;
}

// The hook has fired `count` instructions after it was set.
void gr_cancel_in_hook(lua_State *L, int count) {
  gr_goroutine *g = gr_self();
  gr_task *task = g->owner;
  if (!(atomic_load(&g->struck) & GR_STRUCK_CANCEL))
    return;
  if (task->waits_seen == g->waits && count >= GRACE_COUNT) {
    // Slow on a deep stack: not at each strike.
    gr_cancellation *why = free_reason(L, g, gr_protect_reach(L));
    if (why)
      raise_cancellation(L, why);
    return;
  }
  task->waits_seen = g->waits;
  if (!lua_gethook(L)) // not where there is one for good
    lua_sethook(L, gr_preempt_hook, LUA_MASKCOUNT, GRACE_COUNT);
}

// --- shield and with_timeout ---

// f, arguments... on top of `below` values -> true, results... or false, error:
// below pcall, whose frame tells handlers (protect.c).
static bool call_protected(lua_State *L, int below) {
  lua_pushcfunction(L, gr_protect_pcall);
  lua_insert(L, below + 1);
  int status = lua_pcall(L, lua_gettop(L) - below - 1, LUA_MULTRET, 0);
  return status == LUA_OK && lua_toboolean(L, below + 1);
}

int gr_cancel_shield(lua_State *L) {
  gr_arg_function(L, 1, 1, "shield");
  gr_task *task = gr_run_self();
  task->shields++;
  bool done = call_protected(L, 0);
  task->shields--;
  if (!done)
    return lua_error(L);
  return lua_gettop(L) - 1;
}

static bool is_own(lua_State *L, const gr_cancel_scope *scope) {
  gr_handle *handle = gr_handle_test(L, -1, &gr_cancellation_type);
  return handle && handle->object == scope->own;
}

// seconds, f, arguments...
int gr_cancel_with_timeout(lua_State *L) {
  gr_goroutine *g = gr_self();
  if (lua_type(L, 1) != LUA_TNUMBER)
    gr_arg_type_error(L, 1, 1, "with_timeout", "number");
  uint64_t deadline_ns = gr_arg_deadline(L, 1, 1, "with_timeout");
  gr_arg_function(L, 2, 2, "with_timeout");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  gr_enter();
  gr_cancel_scope *scope = gr_cancel_scope_new(g->scope, deadline_ns);
  if (scope) {
    gr_cancel_enter(g, scope);
    gr_object_release(scope); // being in it is a reference; f may never return
  }
  gr_leave();
  if (!scope)
    return luaL_error(L, "not enough memory");
  bool done = call_protected(L, 1);
  bool timed_out = !done && is_own(L, scope);
  gr_enter();
  gr_cancel_enter(g, scope->parent);
  if (!(atomic_load(&g->struck) & GR_STRUCK_CANCEL))
    gr_closing_end(g->owner);
  gr_leave();
  if (done)
    return lua_gettop(L) - 1;
  return timed_out ? gr_push_failure(L, GR_TIMEOUT) : lua_error(L);
}

// --- what is inherited ---

// What of the running goroutine's is not held back.
static unsigned free_reach(lua_State *L, gr_goroutine *self) {
  bool is_cancelled = atomic_load(&self->struck) & GR_STRUCK_CANCEL;
  return is_cancelled ? gr_protect_reach(L).free : GR_ALL_SCOPES;
}

void gr_cancel_inherit(lua_State *L, gr_goroutine *g) {
  gr_goroutine *self = gr_self();
  if (!self->scope && !atomic_load(&self->struck))
    return;
  unsigned reach = free_reach(L, self);
  gr_cancel_scope *scope;
  gr_enter();
  gr_cancellation *why = gr_cancel_reason(self, 0, reach);
  if (!gr_cancel_scope_within(self, reach, &scope))
    atomic_fetch_or(&g->struck, GR_STRUCK_CANCEL); // it fails for want of it
  if (why)
    gr_cancel_task(g->owner, why);
  if (scope)
    gr_cancel_enter(g, scope);
  if (why)
    gr_object_release(why);
  if (scope)
    gr_object_release(scope);
  gr_leave();
}

gr_cancel_scope *gr_cancel_scope_here(lua_State *L) {
  gr_goroutine *g = gr_self();
  if (!g->scope)
    return NULL;
  gr_cancel_scope *scope;
  unsigned reach = free_reach(L, g);
  gr_enter();
  bool done = gr_cancel_scope_within(g, reach, &scope);
  gr_leave();
  if (!done)
    luaL_error(L, "not enough memory");
  return scope;
}

bool gr_cancel_limit(gr_goroutine *g, uint64_t deadline_ns) {
  gr_cancel_scope *scope = gr_cancel_scope_new(g->scope, deadline_ns);
  if (!scope)
    return false;
  gr_cancel_enter(g, scope);
  gr_object_release(scope);
  return true;
}

// --- a task's ---

gr_cancellation *gr_cancel_check_reason(lua_State *L, const char *name) {
  gr_block *reason = NULL;
  gr_arg_count(L, 2, name);
  if (!lua_isnoneornil(L, 2)) {
    lua_pushvalue(L, 2);
    reason = gr_block_encode(L, 1, GR_VALUES_SENT);
  }
  gr_cancellation *why = gr_cancellation_new(reason);
  if (!why) {
    gr_block_release(reason);
    luaL_error(L, "not enough memory");
  }
  return why;
}

int gr_cancel_method(lua_State *L) {
  gr_task *task = gr_arg_self(L, &gr_task_type, "cancel");
  gr_cancellation *why = gr_cancel_check_reason(L, "cancel");
  gr_enter();
  bool done = gr_cancel_task(task, why);
  gr_object_release(why);
  gr_leave();
  lua_pushboolean(L, done);
  return 1;
}

static const luaL_Reg functions[] = {{"is_cancelled", go_is_cancelled},
                                     {"shield", gr_cancel_shield},
                                     {"with_timeout", gr_cancel_with_timeout},
                                     {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_handle_register(L, &gr_cancellation_type);
  lua_pushcfunction(L, cancellation_index);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, cancellation_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}

void gr_lib_cancel(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}
