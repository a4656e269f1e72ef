// SPDX-License-Identifier: MIT
// Where goroutines are. The state of another goroutine is read only while it
// cannot run: because all are asleep for ever, or through gr_examine. Nothing
// is made in its heap.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/signal.h"
#include "lib/lib.h"
#include "lib/reason.h"
#include "sched/examine.h"
#include "sync/leak.h"

static void add_frame(gr_report *r, lua_State *L, lua_Debug *ar) {
  char line[LUA_IDSIZE + 200];
  lua_getinfo(L, "Sln", ar);
  if (*ar->what == 'C') {
    snprintf(line, sizeof line, "\t[C]: in %s\n",
             ar->name ? ar->name : "a function");
  } else {
    const char *what = *ar->what == 'm' ? "main chunk" : "function";
    char name[120];
    if (ar->name)
      snprintf(name, sizeof name, "function '%s'", ar->name);
    else if (*ar->what == 'm')
      snprintf(name, sizeof name, "%s", what);
    else
      snprintf(name, sizeof name, "function <%s:%d>", ar->short_src,
               ar->linedefined);
    snprintf(line, sizeof line, "\t%s:%d: in %s\n", ar->short_src,
             ar->currentline, name);
  }
  gr_report_add(r, line);
}

// All but the C function at the bottom that runs the goroutine.
static void add_traceback(gr_report *r, lua_State *L) {
  lua_Debug ar, below;
  for (int level = 0; level < 40 && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sn", &ar);
    if (*ar.what == 'C' && !ar.name && !lua_getstack(L, level + 1, &below))
      break;
    add_frame(r, L, &ar);
  }
}

static void add_stack(gr_report *r, gr_goroutine *g) {
  if (g->current)
    add_traceback(r, g->current);
  for (gr_resume *up = g->resumes; up; up = up->outer)
    add_traceback(r, up->from);
}

static void add_creator(gr_report *r, const gr_task *task) {
  char line[GR_CREATOR_BYTES + 60];
  if (!task || !task->creator[0])
    return;
  snprintf(line, sizeof line, "\tstarted by goroutine %llu at %s\n",
           (unsigned long long)task->parent, task->creator);
  gr_report_add(r, line);
}

// The state in brackets, and what it waits for. `leaks` is NULL when all wait
// for ever: the caller's is a wait, too, which has just been ended to tell it.
static void add_state(gr_report *r, gr_goroutine *g, const gr_leaks *leaks) {
  char line[100];
  bool waits = !leaks || atomic_load(&g->status) == GR_WAITING;
  uint64_t waited_ns = gr_now_ns() - g->wait_since_ns;
  gr_report_add(r, " [");
  gr_report_add(r, waits            ? gr_reason_of(g->wait_kind)
                   : g == gr_self() ? "running"
                                    : "runnable");
  if (waits && waited_ns >= 100000000 && waited_ns < INT64_MAX) {
    snprintf(line, sizeof line, ", %.1f s", (double)waited_ns / 1e9);
    gr_report_add(r, line);
  }
  if (leaks && gr_leaks_has(leaks, g->id))
    gr_report_add(r, ", leaked");
  gr_report_add(r, "]:\n");
  if (waits)
    gr_reason_add_object(r, g);
}

// Under the scheduler's lock, while it does not run.
static void add_goroutine(gr_report *r, gr_goroutine *g,
                          const gr_leaks *leaks) {
  gr_report_add_title(r, g->owner, g->id);
  add_state(r, g, leaks);
  add_stack(r, g);
  add_creator(r, g->owner);
  gr_report_add(r, "\n");
}

void gr_dump_all(void) {
  gr_goroutine *self = gr_self();
  gr_report r = {0};
  gr_lock_lock(&gr_the_sched.lock);
  add_goroutine(&r, self, NULL);
  gr_list *all = &gr_family_self()->goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    if (g != self)
      add_goroutine(&r, g, NULL);
  }
  gr_lock_unlock(&gr_the_sched.lock);
  gr_write_error(r.bytes ? r.bytes : "");
  free(r.bytes);
}

// --- while others run ---

// The tasks of all goroutines, each with a reference. A goroutine in the list
// has one of its task.
static gr_task **all_tasks(size_t *count) {
  gr_task **tasks = NULL;
  for (bool fits = false; !fits;) {
    size_t room = atomic_load(&gr_family_self()->count) + 64;
    free(tasks);
    tasks = malloc(room * sizeof(gr_task *));
    if (!tasks)
      return NULL;
    *count = 0;
    gr_lock_lock(&gr_the_sched.lock);
    gr_list *all = &gr_family_self()->goroutines;
    gr_link *at = all->head.next;
    for (; at != &all->head && *count < room; at = at->next) {
      tasks[*count] = GR_CONTAINER(at, gr_goroutine, all)->owner;
      if (tasks[*count])
        gr_task_retain(tasks[(*count)++]);
    }
    fits = at == &all->head;
    gr_lock_unlock(&gr_the_sched.lock);
    for (size_t i = 0; !fits && i < *count; i++)
      gr_task_release(tasks[i]);
  }
  return tasks;
}

typedef struct reading {
  gr_report report;
  gr_leaks leaks;
} reading;

static void read_goroutine(gr_goroutine *g, void *arg) {
  reading *all = arg;
  gr_lock_lock(&gr_the_sched.lock); // for the names of others
  add_goroutine(&all->report, g, &all->leaks);
  gr_lock_unlock(&gr_the_sched.lock);
}

static void add_task(reading *all, gr_task *task) {
  gr_lock_lock(&task->lock);
  gr_goroutine *g = task->g;
  if (g == gr_self()) {
    read_goroutine(g, all);
  } else if (g && !gr_examine(g, read_goroutine, all)) {
    gr_report_add_title(&all->report, task, task->id);
    gr_report_add(&all->report, " [running in C]:\n");
    add_creator(&all->report, task);
    gr_report_add(&all->report, "\n");
  }
  gr_lock_unlock(&task->lock);
}

char *gr_dump_live(void) {
  reading all = {0};
  size_t count;
  gr_enter();
  gr_task **tasks = all_tasks(&count);
  if (tasks)
    all.leaks = gr_leaks_find(&gr_channel_type);
  for (size_t i = 0; tasks && i < count; i++) {
    add_task(&all, tasks[i]);
    gr_task_release(tasks[i]);
  }
  free(tasks);
  free(all.leaks.ids);
  gr_leave();
  return all.report.bytes;
}

// --- at SIGQUIT ---

static gr_block *quit_call; // constant from then on, as the next
static gr_family *quit_family;

static int dump_to_stderr(lua_State *L) {
  (void)L;
  char *text = gr_dump_live();
  gr_write_error(text ? text : "goroutines: not enough memory for a dump\n");
  free(text);
  return 0;
}

// On the monitor's thread: a goroutine does it.
static void on_quit(void) {
  gr_task *task;
  gr_run_options run = {.detached = true, .family = quit_family};
  if (atomic_load(&quit_family->is_over))
    return;
  gr_goroutine *g =
      gr_run_prepare(gr_block_retain(quit_call), &run, "", 0, &task);
  if (g)
    gr_ready_woken(g);
  else
    gr_block_release(quit_call);
}

void gr_dump_at_quit(lua_State *L) {
  static atomic_bool is_begun; // by the first of several mains
  if (atomic_exchange(&is_begun, true))
    return;
  lua_pushcfunction(L, dump_to_stderr);
  quit_call = gr_block_encode(L, 1, GR_VALUES_CALL);
  quit_family = gr_family_self();
  gr_enter();
  int status = gr_signal_call(SIGQUIT, on_quit);
  gr_leave();
  if (status)
    gr_write_error("goroutines: SIGQUIT cannot be caught\n");
}

static void read_stack(gr_goroutine *g, void *arg) {
  add_stack(arg, g);
}

char *gr_dump_task(gr_task *task) {
  gr_report r = {0};
  gr_report_add(&r, "stack traceback:\n");
  gr_enter();
  gr_lock_lock(&task->lock);
  gr_goroutine *g = task->g;
  if (g == gr_self())
    add_stack(&r, g);
  else if (g && !gr_examine(g, read_stack, &r))
    gr_report_add(&r, "\t(running in C)\n");
  gr_lock_unlock(&task->lock);
  gr_leave();
  add_creator(&r, task);
  if (r.len > 0 && r.bytes[r.len - 1] == '\n')
    r.bytes[r.len - 1] = '\0';
  return r.bytes;
}
