// SPDX-License-Identifier: MIT
// Mutexes. Where nobody waits, locking and unlocking are one compare-and-swap
// each, for which the runtime need not be entered.
#include "lib/lib.h"
#include "sync/mutex.h"

static void open_type(lua_State *L);

const gr_handle_type gr_mutex_type = {"goroutines.mutex", gr_object_retain,
                                      gr_object_release, open_type};

#define GUARD "goroutines.guard"

static gr_status wait_lock(void *object, uint64_t deadline_ns) {
  return gr_mutex_lock(object, deadline_ns);
}

static int mutex_new(lua_State *L) {
  gr_arg_count(L, 0, "mutex");
  gr_handle *handle = gr_handle_new(L, &gr_mutex_type);
  return gr_sync_set(L, handle, gr_mutex_new());
}

static int lock_slowly(lua_State *L, gr_mutex *m) {
  gr_arg_count(L, 2, "lock");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "lock");
  return gr_sync_push_outcome(L,
                              gr_sync_wait_for(L, wait_lock, m, deadline_ns));
}

static int mutex_lock(lua_State *L) {
  gr_mutex *m = gr_arg_self(L, &gr_mutex_type, "lock");
  gr_wait_point(L);
  if (GR_UNLIKELY(lua_gettop(L) > 1) || !gr_mutex_take_quickly(m, gr_self()))
    return lock_slowly(L, m);
  lua_pushboolean(L, 1);
  return 1;
}

static int mutex_try_lock(lua_State *L) {
  gr_mutex *m = gr_arg_self(L, &gr_mutex_type, "try_lock");
  gr_arg_count(L, 1, "try_lock");
  lua_pushboolean(L, gr_mutex_try(m, gr_self()));
  return 1;
}

static bool unlock(gr_mutex *m) {
  if (gr_mutex_drop_quickly(m, gr_self()))
    return true;
  gr_enter();
  bool done = gr_mutex_unlock(m);
  gr_leave();
  return done;
}

static int not_locked(lua_State *L, gr_mutex *m) {
  uint64_t holder = gr_mutex_holder(m);
  if (!holder)
    return luaL_error(L, "unlock of unlocked mutex");
  return luaL_error(L, "unlock of a mutex that is locked by %s",
                    gr_sync_push_holder(L, holder));
}

static int mutex_unlock(lua_State *L) {
  gr_mutex *m = gr_arg_self(L, &gr_mutex_type, "unlock");
  return GR_LIKELY(unlock(m)) ? 0 : not_locked(L, m);
}

// --- guards ---

// What unlocks a mutex when it is closed. Its user value keeps the mutex.
typedef struct guard {
  gr_mutex *mutex; // NULL: closed
} guard;

static guard *check_guard(lua_State *L, const char *name) {
  guard *g = luaL_testudata(L, 1, GUARD);
  if (!g)
    luaL_error(L, "calling '%s' on bad self (%s expected)", name, GUARD);
  return g;
}

// guard, error: an error on its way is not hidden by one of ours.
static int guard_close(lua_State *L) {
  guard *g = check_guard(L, "__close");
  gr_mutex *m = g->mutex;
  g->mutex = NULL;
  if (m && !unlock(m) && lua_isnoneornil(L, 2))
    return not_locked(L, m);
  return 0;
}

static int guard_tostring(lua_State *L) {
  guard *g = check_guard(L, "__tostring");
  if (g->mutex)
    lua_pushfstring(L, "guard: mutex: %p", (void *)g->mutex);
  else
    lua_pushliteral(L, "guard: closed");
  return 1;
}

static int mutex_guard(lua_State *L) {
  gr_mutex *m = gr_arg_self(L, &gr_mutex_type, "guard");
  gr_arg_count(L, 1, "guard");
  guard *g = lua_newuserdatauv(L, sizeof *g, 1);
  g->mutex = NULL;
  luaL_setmetatable(L, GUARD);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  gr_sync_wait_for(L, wait_lock, m, GR_NEVER);
  g->mutex = m;
  return 1;
}

// --- with ---

static void leave_with(lua_State *L, gr_scope *scope, int err) {
  gr_mutex *m = scope->object;
  scope->object = NULL;
  if (!unlock(m) && lua_isnil(L, err) && !scope->is_abandoned)
    not_locked(L, m);
}

// mutex, scope, results...
static int end_with(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L) - 2;
}

// mutex, f, arguments... -> what f returns
static int mutex_with(lua_State *L) {
  gr_mutex *m = gr_arg_self(L, &gr_mutex_type, "with");
  gr_arg_function(L, 2, 1, "with");
  gr_scope *scope = gr_scope_open(L, leave_with);
  gr_sync_wait_for(L, wait_lock, m, GR_NEVER);
  scope->object = m;
  lua_callk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, end_with);
  return end_with(L, LUA_OK, 0);
}

static const luaL_Reg methods[] = {
    {"lock", mutex_lock},     {"try_lock", mutex_try_lock},
    {"unlock", mutex_unlock}, {"with", mutex_with},
    {"guard", mutex_guard},   {NULL, NULL},
};

static const luaL_Reg guard_meta[] = {
    {"__close", guard_close}, {"__tostring", guard_tostring}, {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_mutex_type, methods, NULL);
  gr_scope_register(L);
  luaL_newmetatable(L, GUARD);
  luaL_setfuncs(L, guard_meta, 0);
  lua_pop(L, 1);
}

void gr_lib_mutex(lua_State *L) {
  lua_pushcfunction(L, mutex_new);
  lua_setfield(L, -2, "mutex");
}
