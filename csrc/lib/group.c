// SPDX-License-Identifier: MIT
// Groups of tasks. A goroutine that g:spawn starts is in the group's scope, and
// not in that of its caller.
#include "sync/group.h"

#include <string.h>

#include "lib/lib.h"

static void open_type(lua_State *L);

const gr_handle_type gr_group_type = {"goroutines.group", gr_object_retain,
                                      gr_object_release, open_type};

// --- go.group ---

typedef struct options {
  uint32_t limit;
  bool collects;
  gr_group_keep keep;
} options;

static uint32_t read_limit(lua_State *L) {
  int is_integer;
  lua_Integer limit = lua_tointegerx(L, -1, &is_integer);
  if (lua_type(L, -1) != LUA_TNUMBER)
    gr_arg_type_error(L, -1, 1, "group", "option 'limit': number");
  if (!is_integer || limit < 1 || limit > GR_GROUP_LIMIT_MAX)
    gr_arg_error(L, 1, "group",
                 lua_pushfstring(L, "option 'limit': integer from 1 to %d",
                                 GR_GROUP_LIMIT_MAX));
  return (uint32_t)limit;
}

static bool read_on_error(lua_State *L) {
  const char *what = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  bool collects = !strcmp(what, "collect");
  if (!collects && strcmp(what, "cancel") != 0)
    gr_arg_error(L, 1, "group",
                 "option 'on_error': \"cancel\" or \"collect\" expected");
  return collects;
}

static gr_group_keep read_keep(lua_State *L) {
  static const char *const names[] = {"all", "untaken", "none"};
  const char *what = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  for (int i = 0; i < 3; i++)
    if (!strcmp(what, names[i]))
      return (gr_group_keep)i;
  gr_arg_error(L, 1, "group",
               "option 'keep': \"all\", \"untaken\" or \"none\" expected");
  return GR_KEEP_ALL;
}

static void read_option(lua_State *L, options *o) {
  const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
  if (!strcmp(key, "limit"))
    o->limit = read_limit(L);
  else if (!strcmp(key, "on_error"))
    o->collects = read_on_error(L);
  else if (!strcmp(key, "keep"))
    o->keep = read_keep(L);
  else
    gr_arg_error(L, 1, "group", lua_pushfstring(L, "unknown option '%s'", key));
}

static options check_options(lua_State *L) {
  options o = {0};
  gr_arg_count(L, 1, "group");
  if (lua_isnoneornil(L, 1))
    return o;
  if (!lua_istable(L, 1))
    gr_arg_type_error(L, 1, 1, "group", "table");
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    read_option(L, &o);
    lua_pop(L, 1);
  }
  return o;
}

static int group_new(lua_State *L) {
  options o = check_options(L);
  gr_handle *handle = gr_handle_new(L, &gr_group_type);
  gr_cancel_scope *parent = gr_cancel_scope_here(L);
  gr_enter();
  gr_group *group = gr_group_new(parent, o.limit, o.collects, o.keep);
  if (parent)
    gr_object_release(parent);
  gr_leave();
  return gr_sync_set(L, handle, group);
}

// --- spawn ---

static gr_block *encode_copies(lua_State *L, int first) {
  int count = lua_gettop(L) - first + 1;
  luaL_checkstack(L, count, "too many arguments to spawn");
  for (int i = 0; i < count; i++)
    lua_pushvalue(L, first + i);
  return gr_block_encode(L, count, GR_VALUES_CALL);
}

// The call is encoded anew after an interrupted wait, whose hook may raise.
static gr_member *reserve(lua_State *L, gr_group *group, int first,
                          gr_block **call) {
  gr_member *place = NULL;
  gr_status status;
  gr_wait_point(L);
  do {
    *call = encode_copies(L, first);
    gr_enter();
    status = gr_group_reserve(group, &place);
    gr_leave();
    if (status != GR_OK)
      gr_block_release(*call);
  } while (status != GR_OK && gr_wait_again(L, status));
  if (status == GR_CLOSED)
    luaL_error(L, "spawn in a closed group");
  return place;
}

static int group_spawn(lua_State *L) {
  gr_group *group = gr_arg_self(L, &gr_group_type, "spawn");
  char creator[GR_CREATOR_BYTES];
  int first;
  gr_block *call;
  gr_task *task;
  gr_run_options run = gr_spawn_read(L, 2, &first);
  run.context = gr_run_self()->context;
  gr_run_where(L, creator);
  gr_member *place = reserve(L, group, first, &call);
  gr_goroutine *g =
      gr_run_prepare(call, &run, creator, gr_run_self()->id, &task);
  gr_enter();
  if (g) {
    gr_group_add(place, g, task);
    gr_run_launch(g, &run);
  } else {
    gr_group_unreserve(place);
  }
  gr_leave();
  if (!g) {
    gr_block_release(call);
    return luaL_error(L, "not enough memory");
  }
  gr_handle_push(L, &gr_task_type, task, 0);
  return 1;
}

// --- wait ---

// Who is in it itself would wait for its own end.
static gr_group *check_outside(lua_State *L, const char *name) {
  gr_group *group = gr_arg_self(L, &gr_group_type, name);
  if (gr_group_has(group, gr_run_self()))
    luaL_error(L, "bad call of '%s' (by a goroutine of the group itself)",
               name);
  return group;
}

// The same for what asks for tasks that have ended: the group keeps as many as
// that needs.
static gr_group *check_keeps(lua_State *L, const char *name,
                             gr_group_keep least) {
  gr_group *group = check_outside(L, name);
  if (group->keep > least)
    luaL_error(L, "bad call of '%s' (the group does not keep its tasks)", name);
  return group;
}

typedef struct waiting {
  gr_group *group;
  gr_group_outcome outcome;
} waiting;

static gr_status wait_all(void *arg, uint64_t deadline_ns) {
  waiting *w = arg;
  return gr_group_wait(w->group, deadline_ns, &w->outcome);
}

// nil, error, traceback. Takes the task over.
static int push_failure(lua_State *L, gr_task *task) {
  gr_handle_push(L, &gr_task_type, task, 0); // it keeps the task
  gr_enter();
  gr_task_wait(task, GR_POLL); // somebody knows of it now
  gr_leave();
  lua_pushnil(L);
  if (task->outcome)
    return 1 + gr_block_push(L, task->outcome);
  lua_pushliteral(L, "not enough memory");
  lua_pushliteral(L, "(no traceback)");
  return 3;
}

static int group_wait(lua_State *L) {
  waiting w = {check_outside(L, "wait"), {NULL, NULL}};
  gr_arg_count(L, 2, "wait");
  uint64_t deadline_ns = gr_arg_deadline(L, 2, 1, "wait");
  gr_status status = gr_sync_wait_for(L, wait_all, &w, deadline_ns);
  if (status == GR_OK && w.outcome.failed)
    return push_failure(L, w.outcome.failed);
  if (status == GR_OK && w.outcome.why) {
    lua_pushnil(L);
    gr_handle_push(L, &gr_cancellation_type, w.outcome.why, 0);
    return 2;
  }
  return gr_sync_push_outcome(L, status);
}

// --- close ---

// Not struck by a cancellation, however it is called.
static gr_status close_once(gr_group *group) {
  gr_enter();
  gr_wait_ignore_cancel();
  gr_status status = gr_group_close(group);
  gr_leave();
  return status;
}

static void cancel_rest(gr_group *group) {
  bool nomem; // only where there is no rest
  gr_enter();
  gr_group_cancel(group, NULL, &nomem);
  gr_leave();
}

// The block is left by an error; or because of too much CPU time, when Lua has
// none to give.
static bool is_failing(lua_State *L) {
  return !lua_isnoneornil(L, 2) || gr_run_self()->strikes > 1;
}

// g, error or nil
static int group_close(lua_State *L) {
  gr_group *group = check_outside(L, "__close");
  gr_status status;
  if (is_failing(L))
    cancel_rest(group);
  gr_wait_count(L, gr_self());
  do
    status = close_once(group);
  while (status == GR_CANCELLED ||
         (status != GR_OK && gr_wait_again(L, status)));
  return 0;
}

// --- results and completed ---

// Pushes the list of tasks.
static lua_Integer push_tasks(lua_State *L, gr_group *group) {
  gr_group_cursor cursor = {0};
  gr_task *task;
  lua_Integer count = 0;
  lua_newtable(L);
  while ((task = gr_group_next(group, &cursor))) {
    gr_handle_push(L, &gr_task_type, task, 0);
    lua_rawseti(L, -2, ++count);
  }
  return count;
}

// [task] -> table.pack(task:join())
static void join_packed(lua_State *L) {
  int top = lua_gettop(L);
  lua_pushcfunction(L, gr_task_join_method);
  lua_insert(L, top);
  lua_call(L, 1, LUA_MULTRET);
  luaL_checkstack(L, LUA_MINSTACK, "too many results of a task");
  int count = lua_gettop(L) - top + 1;
  lua_createtable(L, count, 1);
  lua_insert(L, top);
  for (int i = count; i > 0; i--)
    lua_rawseti(L, top, i);
  lua_pushinteger(L, count);
  lua_setfield(L, top, "n");
}

static int group_results(lua_State *L) {
  gr_group *group = check_keeps(L, "results", GR_KEEP_ALL);
  gr_arg_count(L, 1, "results");
  gr_wait_point(L);
  lua_Integer count = push_tasks(L, group);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, i);
    join_packed(L);
    lua_rawseti(L, 2, i);
  }
  return 1;
}

typedef struct taking {
  gr_group *group;
  gr_task *task;
} taking;

static gr_status take(void *arg, uint64_t deadline_ns) {
  (void)deadline_ns;
  taking *t = arg;
  return gr_group_take(t->group, &t->task);
}

static int next_completed(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  taking t = {check_keeps(L, "completed", GR_KEEP_UNTAKEN), NULL};
  gr_sync_wait_for(L, take, &t, GR_NEVER);
  if (!t.task)
    return 0;
  gr_handle_push(L, &gr_task_type, t.task, 0);
  return 1;
}

static int group_completed(lua_State *L) {
  check_keeps(L, "completed", GR_KEEP_UNTAKEN);
  gr_arg_count(L, 1, "completed");
  lua_pushcclosure(L, next_completed, 1);
  return 1;
}

// --- cancel ---

static int group_cancel(lua_State *L) {
  gr_group *group = gr_arg_self(L, &gr_group_type, "cancel");
  gr_cancellation *why = gr_cancel_check_reason(L, "cancel");
  bool nomem;
  gr_enter();
  bool first = gr_group_cancel(group, why, &nomem);
  gr_object_release(why);
  gr_leave();
  if (nomem)
    return luaL_error(L, "not enough memory");
  lua_pushboolean(L, first);
  return 1;
}

static const luaL_Reg methods[] = {
    {"spawn", group_spawn},         {"wait", group_wait},
    {"cancel", group_cancel},       {"results", group_results},
    {"completed", group_completed}, {NULL, NULL},
};

static const luaL_Reg meta[] = {{"__close", group_close}, {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_sync_register(L, &gr_group_type, methods, meta);
}

void gr_lib_group(lua_State *L) {
  lua_pushcfunction(L, group_new);
  lua_setfield(L, -2, "group");
}
