// SPDX-License-Identifier: MIT
// Time: sleeping, channels that get the time, functions run at a time.
#include <math.h>
#include <stdlib.h>

#include "lib/lib.h"

static void ticker_retain(void *object) {
  gr_ticker_retain(object);
}

static void ticker_release(void *object) {
  gr_ticker_release(object);
}

static void timer_retain(void *object) {
  gr_timer_retain(object);
}

static void timer_release(void *object) {
  gr_timer_release(object);
}

static void open_ticker(lua_State *L);
static void open_timer(lua_State *L);

const gr_handle_type gr_ticker_type = {"goroutines.ticker", ticker_retain,
                                       ticker_release, open_ticker};
const gr_handle_type gr_timer_type = {"goroutines.timer", timer_retain,
                                      timer_release, open_timer};

static int time_now(lua_State *L) {
  lua_pushnumber(L, gr_seconds(gr_now_ns()));
  return 1;
}

static int time_sleep(lua_State *L) {
  gr_arg_count(L, 1, "sleep");
  if (lua_type(L, 1) != LUA_TNUMBER)
    gr_arg_type_error(L, 1, 1, "sleep", "number");
  uint64_t deadline_ns = gr_arg_deadline(L, 1, 1, "sleep");
  gr_wait_point(L);
  if (deadline_ns == GR_POLL) {
    gr_enter();
    gr_yield();
    gr_leave();
    return 0;
  }
  gr_status status;
  do {
    gr_enter();
    gr_goroutine *g = gr_self();
    gr_wait_open(g);
    gr_park(GR_WAIT_SLEEP, NULL, deadline_ns, NULL, NULL);
    status = gr_wait_status(g);
    gr_leave();
  } while (gr_wait_again(L, status));
  return 0;
}

static int time_after(lua_State *L) {
  gr_arg_count(L, 1, "after");
  if (lua_type(L, 1) != LUA_TNUMBER)
    gr_arg_type_error(L, 1, 1, "after", "number");
  uint64_t when_ns = gr_arg_deadline(L, 1, 1, "after");
  gr_handle *handle = gr_handle_new(L, &gr_channel_type);
  gr_enter();
  gr_channel *c = gr_after_new(when_ns == GR_POLL ? 1 : when_ns);
  gr_leave();
  if (!c)
    return luaL_error(L, "not enough memory");
  gr_handle_set(L, handle, c, GR_VIEW_RECEIVER);
  return 1;
}

// --- tickers ---

static int ticker_new(lua_State *L) {
  gr_arg_count(L, 1, "ticker");
  uint64_t period_ns = gr_arg_period(L, 1, 1, "ticker");
  gr_handle *handle = gr_handle_new(L, &gr_ticker_type);
  gr_enter();
  gr_ticker *ticker = gr_ticker_new(period_ns);
  gr_leave();
  if (!ticker)
    return luaL_error(L, "not enough memory");
  gr_handle_set(L, handle, ticker, 0);
  return 1;
}

static int ticker_stop(lua_State *L) {
  gr_ticker *ticker = gr_arg_self(L, &gr_ticker_type, "stop");
  gr_ticker_stop(ticker);
  return 0;
}

static int ticker_reset(lua_State *L) {
  gr_ticker *ticker = gr_arg_self(L, &gr_ticker_type, "reset");
  gr_arg_count(L, 2, "reset");
  uint64_t period_ns = gr_arg_period(L, 2, 1, "reset");
  gr_enter();
  bool done = gr_ticker_reset(ticker, period_ns);
  gr_leave();
  if (!done)
    return luaL_error(L, "not enough memory");
  return 0;
}

// --- timers that start a goroutine ---

// What a timer starts.
typedef struct timed_call {
  gr_block *call;
  char creator[GR_CREATOR_BYTES];
  uint64_t parent;
  gr_block *context; // that of the goroutine which made it, or NULL
} timed_call;

static void timed_call_free(void *arg) {
  timed_call *timed = arg;
  gr_block_release(timed->call);
  gr_block_release(timed->context);
  free(timed);
}

static gr_goroutine *start_timed(gr_timer *timer, uint64_t now_ns) {
  (void)now_ns;
  timed_call *timed = timer->arg;
  gr_task *task;
  if (atomic_load(&timer->alarm.family->is_over))
    return NULL;
  gr_run_options run = {.detached = true,
                        .context = timed->context,
                        .family = timer->alarm.family};
  gr_goroutine *g = gr_run_prepare(gr_block_retain(timed->call), &run,
                                   timed->creator, timed->parent, &task);
  if (!g) {
    gr_block_release(timed->call);
    gr_write_error("goroutines: not enough memory to run a timer's function\n");
  }
  return g;
}

static gr_timer *new_timer(lua_State *L, gr_block *call) {
  timed_call *timed = malloc(sizeof *timed);
  gr_timer *timer =
      timed ? gr_timer_new(start_timed, timed, timed_call_free) : NULL;
  if (!timer) {
    free(timed);
    return NULL;
  }
  timer->keeps_itself = true;
  timed->call = call;
  gr_task *self = gr_run_self();
  timed->parent = self->id;
  timed->context = self->context ? gr_block_retain(self->context) : NULL;
  gr_run_where(L, timed->creator);
  return timer;
}

static bool set_timer(gr_timer *timer, uint64_t when_ns, bool *was_armed) {
  if (when_ns == GR_NEVER) { // never runs, but can be set anew
    *was_armed = gr_timer_stop(timer);
    return true;
  }
  gr_enter();
  bool done = gr_timer_set(timer, when_ns ? when_ns : 1, 0, was_armed);
  gr_leave();
  return done;
}

static int timer_new(lua_State *L) {
  if (lua_type(L, 1) != LUA_TNUMBER)
    gr_arg_type_error(L, 1, 1, "timer", "number");
  uint64_t when_ns = gr_arg_deadline(L, 1, 1, "timer");
  gr_arg_function(L, 2, 2, "timer");
  int count = lua_gettop(L) - 1;
  gr_handle *handle = gr_handle_new(L, &gr_timer_type);
  lua_replace(L, 1);
  gr_block *call = gr_block_encode(L, count, GR_VALUES_CALL);
  gr_timer *timer = new_timer(L, call);
  if (!timer) {
    gr_block_release(call);
    return luaL_error(L, "not enough memory");
  }
  bool was_armed;
  gr_handle_set(L, handle, timer, 0);
  if (!set_timer(timer, when_ns, &was_armed))
    return luaL_error(L, "not enough memory");
  return 1;
}

static int timer_stop(lua_State *L) {
  gr_timer *timer = gr_arg_self(L, &gr_timer_type, "stop");
  lua_pushboolean(L, gr_timer_stop(timer));
  return 1;
}

static int timer_reset(lua_State *L) {
  gr_timer *timer = gr_arg_self(L, &gr_timer_type, "reset");
  gr_arg_count(L, 2, "reset");
  bool was_armed;
  if (lua_type(L, 2) != LUA_TNUMBER)
    gr_arg_type_error(L, 2, 1, "reset", "number");
  if (!set_timer(timer, gr_arg_deadline(L, 2, 1, "reset"), &was_armed))
    return luaL_error(L, "not enough memory");
  lua_pushboolean(L, was_armed);
  return 1;
}

static const luaL_Reg ticker_methods[] = {{"stop", ticker_stop},
                                          {"reset", ticker_reset},
                                          {"recv", gr_ticker_recv},
                                          {NULL, NULL}};
static const luaL_Reg timer_methods[] = {
    {"stop", timer_stop}, {"reset", timer_reset}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"now", time_now},      {"sleep", time_sleep}, {"after", time_after},
    {"ticker", ticker_new}, {"timer", timer_new},  {NULL, NULL}};

static void open_ticker(lua_State *L) {
  gr_handle_register(L, &gr_ticker_type);
  lua_pushcfunction(L, gr_ticker_call);
  lua_setfield(L, -2, "__call");
  luaL_newlib(L, ticker_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static void open_timer(lua_State *L) {
  gr_handle_register(L, &gr_timer_type);
  luaL_newlib(L, timer_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void gr_lib_time(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}
