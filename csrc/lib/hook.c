// SPDX-License-Identifier: MIT
// debug.sethook and debug.gethook, so that a user's hook and preemption do not
// disturb each other. A coroutine with a user's hook is never armed by a
// signal. It has one dispatcher instead, for the user's events and a count: it
// forwards the user's events, keeps the user's count itself, and gives way when
// that is wanted. Such code is on the interpreter's slow path already.
#include <string.h>

#include "lib/lib.h"
#include "sched/preempt.h"

enum { STEP_MAX = 1000 }; // instructions between two looks

// What a user has set, in a userdata; its user value is the function.
typedef struct user_hook {
  int mask; // the user's, with LUA_MASKCOUNT only if a count was given
  int count;
  int left; // of the count
  int step; // the dispatcher's own count
} user_hook;

static const char hooks_key;

// Pushes the table from coroutine to user_hook, with weak keys.
static void push_hooks(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hooks_key);
}

// Pushes the record of the coroutine `co`, on L, or nothing: NULL.
static user_hook *push_record(lua_State *L, lua_State *co) {
  push_hooks(L);
  if (L != co)
    luaL_checkstack(co, 1, "stack overflow");
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  user_hook *record = lua_touserdata(L, -1);
  if (!record)
    lua_pop(L, 1);
  return record;
}

static void call_user(lua_State *L, const char *event, int line) {
  lua_getiuservalue(L, -1, 1);
  lua_pushstring(L, event);
  if (line >= 0)
    lua_pushinteger(L, line);
  else
    lua_pushnil(L);
  lua_call(L, 2, 0);
}

static void dispatch(lua_State *L, lua_Debug *ar) {
  static const char *const names[] = {"call", "return", "line", "count",
                                      "tail call"};
  gr_goroutine *g = gr_self();
  if (g)
    g->current = L;
  if (gr_preempt_is_wanted())
    gr_preempt_poll_in_hook(L, STEP_MAX);
  user_hook *record = push_record(L, L);
  if (!record)
    return;
  bool forward = true;
  if (ar->event == LUA_HOOKCOUNT) {
    record->left -= record->step;
    forward = (record->mask & LUA_MASKCOUNT) && record->left <= 0;
    if (forward)
      record->left += record->count;
  } else {
    lua_getinfo(L, "l", ar);
  }
  if (forward)
    call_user(L, names[ar->event],
              ar->event == LUA_HOOKLINE ? ar->currentline : -1);
  lua_pop(L, 1);
}

static int step_for(int count) {
  if (count <= 0)
    return STEP_MAX;
  if (count <= STEP_MAX)
    return count;
  int step = STEP_MAX; // the largest that divides the count, if one is near
  while (step > STEP_MAX / 2 && count % step)
    step--;
  return step;
}

// The coroutine that the first argument names, or L itself.
static lua_State *get_coroutine(lua_State *L, int *arg) {
  lua_State *co = lua_tothread(L, 1);
  *arg = co ? 1 : 0;
  return co ? co : L;
}

static int read_mask(const char *letters, int count) {
  int mask = 0;
  if (strchr(letters, 'c'))
    mask |= LUA_MASKCALL;
  if (strchr(letters, 'r'))
    mask |= LUA_MASKRET;
  if (strchr(letters, 'l'))
    mask |= LUA_MASKLINE;
  if (count > 0)
    mask |= LUA_MASKCOUNT;
  return mask;
}

static void set_record(lua_State *L, lua_State *co, int function, int mask,
                       int count) {
  push_hooks(L);
  if (L != co)
    luaL_checkstack(co, 1, "stack overflow");
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  if (function) {
    user_hook *record = lua_newuserdatauv(L, sizeof *record, 1);
    *record = (user_hook){mask, count, count, step_for(count)};
    lua_pushvalue(L, function);
    lua_setiuservalue(L, -2, 1);
  } else {
    lua_pushnil(L);
  }
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static void unhook(lua_State *co) {
  if (atomic_load(&gr_the_sched.preempt_mode) == GR_PREEMPT_COUNT)
    lua_sethook(co, gr_preempt_count_hook, LUA_MASKCOUNT,
                GR_PREEMPT_COUNT_STEP);
  else
    lua_sethook(co, NULL, 0, 0);
}

static int debug_sethook(lua_State *L) {
  int arg, mask = 0, count = 0;
  lua_State *co = get_coroutine(L, &arg);
  bool sets = !lua_isnoneornil(L, arg + 1);
  if (sets) {
    const char *letters = luaL_checkstring(L, arg + 2);
    luaL_checktype(L, arg + 1, LUA_TFUNCTION);
    count = (int)luaL_optinteger(L, arg + 3, 0);
    mask = read_mask(letters, count);
    sets = mask != 0;
  }
  set_record(L, co, sets ? arg + 1 : 0, mask, count);
  gr_enter(); // holds the signal handler off
  if (sets)
    lua_sethook(co, dispatch, mask | LUA_MASKCOUNT, step_for(count));
  else
    unhook(co);
  gr_leave();
  return 0;
}

static int debug_gethook(lua_State *L) {
  int arg;
  lua_State *co = get_coroutine(L, &arg);
  lua_Hook hook = lua_gethook(co);
  if (hook && hook != dispatch && hook != gr_preempt_hook &&
      hook != gr_preempt_count_hook) {
    lua_pushliteral(L, "external hook");
    return 1;
  }
  user_hook *record = hook == dispatch ? push_record(L, co) : NULL;
  if (!record) {
    luaL_pushfail(L);
    return 1;
  }
  char letters[4];
  int n = 0;
  if (record->mask & LUA_MASKCALL)
    letters[n++] = 'c';
  if (record->mask & LUA_MASKRET)
    letters[n++] = 'r';
  if (record->mask & LUA_MASKLINE)
    letters[n++] = 'l';
  letters[n] = '\0';
  lua_getiuservalue(L, -1, 1);
  lua_pushstring(L, letters);
  lua_pushinteger(L, record->count);
  return 3;
}

void gr_hook_init_coroutine(lua_State *co) {
  lua_Hook hook = lua_gethook(co);
  if (hook == gr_preempt_hook || hook == dispatch)
    unhook(co);
}

void gr_hook_count_always(lua_State *L) {
  if (!lua_gethook(L))
    unhook(L);
}

void gr_lib_hook(lua_State *L) {
  if (lua_getglobal(L, "debug") == LUA_TTABLE) {
    lua_pushcfunction(L, debug_sethook);
    lua_setfield(L, -2, "sethook");
    lua_pushcfunction(L, debug_gethook);
    lua_setfield(L, -2, "gethook");
  }
  lua_pop(L, 1);
}
