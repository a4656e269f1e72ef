// SPDX-License-Identifier: MIT
// Where goroutines are. The state of another goroutine is read only while it
// cannot run: because all are asleep for ever, or through gr_examine. Nothing
// is made in its heap.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"
#include "lib/reason.h"
#include "sched/examine.h"

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

static void add_traceback(gr_report *r, lua_State *L) {
  lua_Debug ar;
  for (int level = 0; level < 40 && lua_getstack(L, level, &ar); level++)
    add_frame(r, L, &ar);
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

static void add_goroutine(gr_report *r, gr_goroutine *g) {
  gr_report_add_title(r, g->owner, g->id);
  gr_report_add(r, " [");
  gr_report_add(r, gr_reason_of(g->wait_kind));
  gr_report_add(r, "]:\n");
  gr_reason_add_object(r, g);
  add_stack(r, g);
  add_creator(r, g->owner);
  gr_report_add(r, "\n");
}

void gr_dump_all(void) {
  gr_goroutine *self = gr_self();
  gr_report r = {0};
  gr_lock_lock(&gr_the_sched.lock);
  add_goroutine(&r, self);
  gr_list *all = &gr_the_sched.goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    if (g != self)
      add_goroutine(&r, g);
  }
  gr_lock_unlock(&gr_the_sched.lock);
  gr_write_error(r.bytes ? r.bytes : "");
  free(r.bytes);
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
