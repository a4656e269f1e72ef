// SPDX-License-Identifier: MIT
// Locks for readers and writers.
#include "lib/lib.h"
#include "sync/rwmutex.h"

static void open_type(lua_State *L);

const gr_handle_type gr_rwmutex_type = {"goroutines.rwmutex", gr_object_retain,
                                        gr_object_release, open_type};

static gr_status wait_write(void *object, uint64_t deadline_ns) {
  return gr_rwmutex_write(object, deadline_ns);
}

static gr_status wait_read(void *object, uint64_t deadline_ns) {
  return gr_rwmutex_read(object, deadline_ns);
}

static int rwmutex_new(lua_State *L) {
  gr_arg_count(L, 0, "rwmutex");
  gr_handle *handle = gr_handle_new(L, &gr_rwmutex_type);
  return gr_sync_set(L, handle, gr_rwmutex_new());
}

static int wait_for(lua_State *L, gr_sync_wait wait, gr_rwmutex *rw,
                    const char *name) {
  gr_arg_count(L, 2, name);
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, name);
  return gr_sync_push_outcome(L, gr_sync_wait_for(L, wait, rw, deadline_ns));
}

static int rwmutex_lock(lua_State *L) {
  gr_rwmutex *rw = gr_arg_self(L, &gr_rwmutex_type, "lock");
  return wait_for(L, wait_write, rw, "lock");
}

static int rwmutex_rlock(lua_State *L) {
  gr_rwmutex *rw = gr_arg_self(L, &gr_rwmutex_type, "rlock");
  gr_wait_point(L);
  if (lua_gettop(L) > 1 || !gr_rwmutex_try_read(rw))
    return wait_for(L, wait_read, rw, "rlock");
  lua_pushboolean(L, 1);
  return 1;
}

static int rwmutex_try_lock(lua_State *L) {
  gr_rwmutex *rw = gr_arg_self(L, &gr_rwmutex_type, "try_lock");
  gr_arg_count(L, 1, "try_lock");
  lua_pushboolean(L, gr_rwmutex_try_write(rw, gr_self()));
  return 1;
}

static int rwmutex_try_rlock(lua_State *L) {
  gr_rwmutex *rw = gr_arg_self(L, &gr_rwmutex_type, "try_rlock");
  gr_arg_count(L, 1, "try_rlock");
  lua_pushboolean(L, gr_rwmutex_try_read(rw));
  return 1;
}

// Why it cannot be unlocked in this way.
static int refuse(lua_State *L, gr_rwmutex *rw, const char *name) {
  uint64_t writer = gr_rwmutex_writer(rw);
  if (writer)
    return luaL_error(L, "%s of a rwmutex that is locked by %s", name,
                      gr_sync_push_holder(L, writer));
  if (gr_rwmutex_readers(rw) > 0)
    return luaL_error(L, "%s of a rwmutex that is locked by readers", name);
  return luaL_error(L, "%s of unlocked rwmutex", name);
}

static int rwmutex_unlock(lua_State *L) {
  gr_rwmutex *rw = gr_arg_self(L, &gr_rwmutex_type, "unlock");
  gr_enter();
  bool done = gr_rwmutex_unwrite(rw);
  gr_leave();
  return done ? 0 : refuse(L, rw, "unlock");
}

static int rwmutex_runlock(lua_State *L) {
  gr_rwmutex *rw = gr_arg_self(L, &gr_rwmutex_type, "runlock");
  if (gr_rwmutex_unread_quickly(rw))
    return 0;
  gr_enter();
  bool done = gr_rwmutex_unread(rw);
  gr_leave();
  return done ? 0 : refuse(L, rw, "runlock");
}

static const luaL_Reg methods[] = {
    {"lock", rwmutex_lock},
    {"unlock", rwmutex_unlock},
    {"try_lock", rwmutex_try_lock},
    {"rlock", rwmutex_rlock},
    {"runlock", rwmutex_runlock},
    {"try_rlock", rwmutex_try_rlock},
    {NULL, NULL},
};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_rwmutex_type, methods, NULL);
}

void gr_lib_rwmutex(lua_State *L) {
  lua_pushcfunction(L, rwmutex_new);
  lua_setfield(L, -2, "rwmutex");
}
