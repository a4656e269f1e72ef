// SPDX-License-Identifier: MIT
// The life of a goroutine: a Lua state made on its own stack, the call decoded
// into it and made, its outcome encoded, errors reported, the state closed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"
#include "sync/closing.h"
#include "sync/holder.h"

static const char traceback_key;

void gr_run_end_main(void) {
  gr_task *task = gr_run_self();
  gr_settings_clear(task->family);
  task->is_over = true;
  gr_lock_lock(&task->lock);
  task->g = NULL;
  gr_lock_unlock(&task->lock);
}

static int call_init(lua_State *L) {
  gr_block_push_call(L, lua_touserdata(L, 1));
  lua_call(L, 0, 0);
  return 0;
}

static void run_init(lua_State *L) {
  gr_block *init = gr_settings_get_init();
  if (!init)
    return;
  gr_state_complete(L);
  gr_run_self()->kept = init;
  lua_pushcfunction(L, call_init);
  lua_pushlightuserdata(L, init);
  int failed = lua_pcall(L, 1, 0, 0);
  gr_run_self()->kept = NULL;
  gr_block_release(init);
  if (failed)
    lua_error(L);
}

gr_task *gr_run_self(void) {
  return gr_self()->owner;
}

// "file:line", as printf writes it, which is slow beside starting a goroutine.
static void put_place(char creator[GR_CREATOR_BYTES], const char *file,
                      int line) {
  char digits[12], *first = digits + sizeof digits;
  size_t len = strnlen(file, LUA_IDSIZE - 1);
  *--first = '\0';
  do
    *--first = (char)('0' + line % 10);
  while ((line /= 10) > 0);
  memcpy(creator, file, len);
  creator[len] = ':';
  memcpy(creator + len + 1, first, (size_t)(digits + sizeof digits - first));
}

_Static_assert(GR_CREATOR_BYTES >= LUA_IDSIZE + 12, "room for file and line");

void gr_run_where(lua_State *L, char creator[GR_CREATOR_BYTES]) {
  lua_Debug ar;
  creator[0] = '\0';
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0) {
      put_place(creator, ar.short_src, ar.currentline);
      return;
    }
  }
}

// --- reporting ---

static void put_report(const char *report) {
  gr_write_error(report ? report
                        : "goroutines: a goroutine failed, and there "
                          "was not enough memory to tell how\n");
}

// Tells of a failure that nobody handles, once.
static void tell(gr_task *task) {
  gr_channel *channel = gr_settings_error_channel(task->family);
  if (channel && task->event) {
    gr_goroutine *woken = NULL;
    gr_message m = {.kind = GR_MESSAGE_BLOCK,
                    .block = gr_block_retain(task->event)};
    if (!gr_channel_offer(channel, &m, &woken))
      gr_message_drop(&m);
    if (woken)
      gr_ready_woken(woken);
  } else {
    put_report(task->report);
  }
  if (channel)
    gr_channel_release(channel);
  if (gr_settings_errors_end_process(task->family) &&
      !atomic_load(&gr_the_sched.stopping))
    exit(EXIT_FAILURE);
}

void gr_run_at_end(void) {
  if (gr_is_child()) // what failed, the parent reports
    return;
  gr_settings_at_end();
  gr_task_report_all();
}

// Pushes the error as text; never raises but for memory.
static int describe(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

static void push_description(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, describe);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    return;
  lua_pop(L, 1);
  lua_pushfstring(L, "(an error value, a %s, whose __tostring fails)",
                  luaL_typename(L, index));
}

void gr_push_title(lua_State *L, const gr_task *task, uint64_t id) {
  if (task && task->name)
    lua_pushfstring(L, "goroutine %I \"%s\"", (LUAI_UACINT)id, task->name);
  else
    lua_pushfstring(L, "goroutine %I", (LUAI_UACINT)id);
}

// [error, traceback] -> the same; fills in the report and the event, unless
// that has been done before something else failed.
static void prepare_report(lua_State *L, gr_task *task) {
  if (task->report)
    return;
  int traceback = lua_gettop(L), err = traceback - 1;
  gr_push_title(L, task, task->id);
  push_description(L, err);
  lua_pushfstring(L, "%s: %s\n%s\n", lua_tostring(L, -2), lua_tostring(L, -1),
                  lua_tostring(L, traceback));
  task->report = strdup(lua_tostring(L, -1));
  gr_channel *channel = gr_settings_error_channel(task->family);
  if (channel) {
    gr_channel_release(channel);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)task->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, task->name);
    lua_setfield(L, -2, "name");
    lua_pushvalue(L, err);
    lua_setfield(L, -2, "err");
    lua_pushvalue(L, traceback);
    lua_setfield(L, -2, "traceback");
    task->event = gr_block_encode(L, 1, GR_VALUES_ERROR);
  }
  lua_settop(L, traceback);
}

// --- the body ---

// The message handler: keeps the traceback for later, and the error as it is.
static int handle_error(lua_State *L) {
  gr_task *task = gr_run_self();
  luaL_traceback(L, L, NULL, 1);
  const char *lines = lua_tostring(L, -1), *base = "\n\t[C]: in ?";
  size_t len = strlen(lines), base_len = strlen(base);
  if (len > base_len && !strcmp(lines + len - base_len, base))
    len -= base_len; // our own frame at the bottom
  lua_pushlstring(L, lines, len);
  lua_pushfstring(L, "%s\n\tstarted by goroutine %I at %s", lua_tostring(L, -1),
                  (LUAI_UACINT)task->parent,
                  task->creator[0] ? task->creator : "?");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_settop(L, 1);
  return 1;
}

// Nobody is to hear how a goroutine ends whose family has ended: it may have
// failed for that, since no alarm can be set any more.
static void abandon_if_over(void) {
  if (atomic_load(&gr_self()->family->is_over)) // it may not be struck yet
    gr_run_abandon();
}

typedef struct lifetime {
  gr_task *task;
  gr_task_state state;
  gr_block *outcome;
} lifetime;

// The stack holds the message handler and then the function; is_unwinding in
// protect.c knows that.
int gr_run_call(lua_State *L) {
  lifetime *life = lua_touserdata(L, 1);
  gr_block *call = life->task->call;
  gr_state_open(L);
  lua_settop(L, 0);
  if (atomic_load(&gr_the_sched.preempt_mode) == GR_PREEMPT_COUNT)
    gr_hook_count_always(L);
  run_init(L);
  lua_pushcfunction(L, handle_error);
  int count = gr_block_push_call(L, call);
  life->task->call = NULL;
  gr_block_release(call);
  if (lua_pcall(L, count - 1, LUA_MULTRET, 1) == LUA_OK) {
    int results = lua_gettop(L) - 1;
    if (results > 0)
      life->outcome = gr_block_encode(L, results, GR_VALUES_RESULT);
    life->state = GR_TASK_DONE;
    return 0;
  }
  abandon_if_over();
  gr_state_lift_limit(L);
  if (gr_cancel_is_error(L, -1))
    life->state = GR_TASK_CANCELLED;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  if (!lua_isstring(L, -1)) { // the handler failed: out of memory
    lua_pop(L, 1);
    lua_pushliteral(L, "(no traceback)");
  }
  if (life->state != GR_TASK_CANCELLED)
    prepare_report(L, life->task);
  life->outcome = gr_block_encode(L, 2, GR_VALUES_ERROR);
  return 0;
}

// Encodes the message that gr_run_call itself has failed with, and no
// traceback.
static int fail_plainly(lua_State *L) {
  lifetime *life = lua_touserdata(L, 2);
  lua_settop(L, 1);
  push_description(L, 1);
  lua_pushfstring(L, "stack traceback:\n\tstarted by goroutine %I at %s",
                  (LUAI_UACINT)life->task->parent, life->task->creator);
  prepare_report(L, life->task);
  life->outcome = gr_block_encode(L, 2, GR_VALUES_ERROR);
  return 0;
}

static void live(lua_State *L, lifetime *life) {
  lua_pushcfunction(L, gr_run_call);
  lua_pushlightuserdata(L, life);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK)
    return;
  abandon_if_over();
  life->state = GR_TASK_FAILED;
  gr_state_lift_limit(L);
  if (!lua_checkstack(L, 4))
    return;
  lua_pushcfunction(L, fail_plainly);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, life);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}

// On the scheduler's stack: the goroutine is gone before anybody hears of it.
static void commit_end(gr_goroutine *g, void *arg) {
  lifetime *life = arg;
  gr_task *task = life->task;
  gr_family *family = task->family;
  gr_task_state state = life->state;
  gr_block *outcome = life->outcome;
  gr_lock_lock(&task->lock);
  task->g = NULL;
  gr_lock_unlock(&task->lock);
  gr_goroutine_free(g); // with its stack, on which `arg` lies
  gr_task_end(task, state, outcome);
  gr_task_release(task);
  atomic_fetch_sub(&family->sources, 1);
}

// --- the end ---

// Its state is gone.
static GR_NORETURN void finish(lifetime *life) {
  if (gr_self()->held)
    gr_holder_ended(life->task);
  gr_block_release(life->task->context); // the task may be kept for long
  life->task->context = NULL;
  gr_enter();
  gr_cancel_enter(gr_self(), NULL);
  gr_closing_end(life->task);
  // It is no more in the list when it wakes those who wait for it.
  atomic_fetch_add(&life->task->family->sources, 1);
  gr_finish(commit_end, life);
}

static GR_NORETURN void end(lua_State *L, lifetime *life) {
  if (life->outcome) // a task that is among its own results
    gr_block_disown(life->outcome, life->task);
  life->task->is_ending = true; // finalizers are not struck
  life->task->is_over = true;
  life->task->kept = life->outcome;
  if (L)
    gr_state_close(L);
  life->task->kept = NULL;
  if (gr_is_child()) { // nobody else is there to go on
    if (life->state == GR_TASK_FAILED)
      put_report(life->task->report);
    exit(life->state == GR_TASK_FAILED ? EXIT_FAILURE : EXIT_SUCCESS);
  }
  if (life->task->detached && life->state == GR_TASK_FAILED) {
    tell(life->task);
    life->task->joined = true; // told
  }
  finish(life);
}

// What it holds in functions of ours is let go: its memory is not all there is.
static void abandon_scopes_of(lua_State *co) {
  if (!lua_checkstack(co, 4))
    return;
  lua_pushnil(co); // no error
  gr_scope_abandon(co, co);
}

static void abandon_scopes(gr_goroutine *g) {
  abandon_scopes_of(g->current);
  for (gr_resume *r = g->resumes; r; r = r->outer)
    abandon_scopes_of(r->from);
}

void gr_run_abandon(void) {
  gr_goroutine *g = gr_self();
  gr_task *task = g->owner;
  lifetime life = {.task = task, .state = GR_TASK_CANCELLED};
  task->is_ending = true;
  task->is_over = true;
  gr_loading_abandon();
  if (g->L) {
    lua_gc(g->L, LUA_GCSTOP); // or finalizers would run here
    abandon_scopes(g);
    gr_state_abandon(g->L);
  }
  gr_block_release(task->call);
  gr_block_release(task->kept);
  task->call = task->kept = NULL;
  finish(&life);
}

// A finalizer has been called in the midst of any function, also one of ours.
// So it gets an error first, for that to go on until it comes to a wait; but
// not twice, for it might catch it for ever.
void gr_run_end_struck(lua_State *L) {
  gr_task *task = gr_run_self();
  if (!task->has_been_told && gr_protect_is_finalizing(L)) {
    task->has_been_told = true;
    luaL_error(L, "the Lua state is closing");
  }
  gr_run_abandon();
}

static void body(gr_goroutine *g) {
  lifetime life = {.task = g->owner, .state = GR_TASK_FAILED};
  gr_leave();
  abandon_if_over();
  gr_home at;
  lua_State *L = gr_state_new(&at, life.task->memory_limit, life.task->call);
  if (L) {
    g->L = L;
    g->hot = gr_image_hot(&at, &g->memory);
    if (gr_image_looks_for_hot(&at))
      g->looks_at = GR_LOOKS_AT;
    g->current = L;
    live(L, &life);
  }
  end(L, &life);
}

void gr_run_find_hot(lua_State *L) {
  gr_goroutine *g = gr_self();
  bool again = g->waits == GR_LOOKS_AGAIN_AT;
  gr_image_find_hot(L, again);
  g->looks_at = again ? 0 : GR_LOOKS_AGAIN_AT;
}

gr_goroutine *gr_run_prepare(gr_block *call, const gr_run_options *o,
                             const char *creator, uint64_t parent,
                             gr_task **task) {
  *task = gr_task_new(call, o->name);
  if (!*task)
    return NULL;
  gr_family *family = o->family ? o->family : gr_family_self();
  gr_goroutine *g = gr_goroutine_new(body, *task, family);
  if (!g) {
    (*task)->call = NULL; // stays the caller's
    gr_task_release(*task);
    return NULL;
  }
  memcpy((*task)->creator, creator, strlen(creator) + 1);
  (*task)->id = g->id;
  (*task)->g = g;
  (*task)->family = family;
  (*task)->parent = parent;
  (*task)->detached = o->detached;
  if (o->context)
    (*task)->context = gr_block_retain(o->context);
  (*task)->memory_limit = o->memory_limit;
  (*task)->cpu_limit_ns = o->cpu_limit_ns;
  atomic_store(&g->cpu_limit_ns, o->cpu_limit_ns);
  if (!o->detached)
    gr_task_retain(*task); // one reference is the goroutine's, one the caller's
  return g;
}

void gr_run_launch(gr_goroutine *g, const gr_run_options *o) {
  if (o->timeout_ns && !gr_cancel_limit(g, gr_now_ns() + o->timeout_ns))
    atomic_fetch_or(&g->struck, GR_STRUCK_CANCEL);
  gr_start(g);
}

gr_task *gr_run_start(lua_State *L, gr_block *call, const gr_run_options *o) {
  char creator[GR_CREATOR_BYTES];
  gr_task *task, *self = gr_run_self();
  gr_run_options inherited = *o;
  inherited.context = self->context;
  gr_run_where(L, creator);
  gr_goroutine *g = gr_run_prepare(call, &inherited, creator, self->id, &task);
  if (!g) {
    gr_block_release(call);
    luaL_error(L, "not enough memory");
  }
  gr_cancel_inherit(L, g);
  gr_enter();
  gr_run_launch(g, o);
  gr_leave();
  return o->detached ? NULL : task;
}

// --- go.exit ---

// Closes the to-be-closed variables of each coroutine in progress, inner to
// outer, and leaves the stack for good: nothing is unwound, so that no pcall
// can catch it. An error in a handler does not keep the next from running.
static void close_all(gr_goroutine *g) {
  for (gr_resume *r; (r = g->resumes); g->resumes = r->outer) {
    r->is_closing = true; // the stacks below it are as they were
    lua_resetthread(g->current);
    g->current = r->from;
  }
  lua_resetthread(g->L);
}

static void leave_stack(gr_goroutine *g, gr_block *outcome) {
  gr_task *task = g->owner;
  gr_block_release(task->kept);
  task->kept = outcome;
  task->is_ending = true;
  close_all(g);
  gr_loading_abandon();
}

void gr_run_exit(lua_State *L, int results) {
  gr_goroutine *g = gr_self();
  lifetime life = {.task = g->owner, .state = GR_TASK_DONE};
  if (!g->is_main)
    life.outcome = gr_block_encode(L, results, GR_VALUES_RESULT);
  leave_stack(g, life.outcome);
  if (g->is_main) {
    gr_enter();
    bool ended = gr_is_child() || gr_wait_for_others();
    gr_leave();
    if (!ended) {
      gr_dump_all();
      gr_write_error("goroutines: all goroutines are asleep - deadlock! (main "
                     "called go.exit)\n");
      exit(EXIT_FAILURE);
    }
    gr_run_self()->is_over = true;
    lua_close(g->L);
    exit(EXIT_SUCCESS);
  }
  end(g->L, &life);
}

void gr_run_fail(lua_State *L, const char *message) {
  gr_goroutine *g = gr_self();
  lifetime life = {.task = g->owner, .state = GR_TASK_FAILED};
  gr_state_lift_limit(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushcfunction(L, handle_error);
  lua_pushstring(L, message);
  lua_call(L, 1, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  prepare_report(L, life.task);
  life.outcome = gr_block_encode(L, 2, GR_VALUES_ERROR);
  leave_stack(g, life.outcome);
  end(g->L, &life);
}

static void forget_main(void *owner) {
  gr_task_release(owner);
}

__attribute__((constructor)) static void set_hooks(void) {
  gr_task_on_forgotten = tell;
  gr_family_forget_main = forget_main;
}
