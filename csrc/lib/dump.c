// SPDX-License-Identifier: MIT
// Where goroutines are. The state of another goroutine is read only while it
// cannot run: because all are asleep for ever, or through gr_examine. Nothing
// is made in its heap.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"
#include "sched/examine.h"

// A text that grows; `failed` when out of memory.
typedef struct report {
  char *bytes;
  size_t len, room;
} report;

static void add(report *r, const char *text) {
  size_t len = strlen(text);
  if (r->len + len + 1 > r->room) {
    size_t room = (r->room + len + 1) * 2;
    char *bytes = realloc(r->bytes, room);
    if (!bytes)
      return;
    r->bytes = bytes;
    r->room = room;
  }
  memcpy(r->bytes + r->len, text, len + 1);
  r->len += len;
}

static const char *reason_of(gr_wait_kind kind) {
  switch (kind) {
  case GR_WAIT_SEND:
    return "chan send";
  case GR_WAIT_RECV:
    return "chan receive";
  case GR_WAIT_SELECT:
    return "select";
  case GR_WAIT_SELECT_NONE:
    return "select (no cases)";
  case GR_WAIT_SLEEP:
    return "sleep";
  case GR_WAIT_JOIN:
    return "join";
  case GR_WAIT_OTHERS:
    return "waiting for the others to end";
  default:
    return "waiting";
  }
}

static void add_frame(report *r, lua_State *L, lua_Debug *ar) {
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
  add(r, line);
}

static void add_traceback(report *r, lua_State *L) {
  lua_Debug ar;
  for (int level = 0; level < 40 && lua_getstack(L, level, &ar); level++)
    add_frame(r, L, &ar);
}

static void add_stack(report *r, gr_goroutine *g) {
  if (g->current)
    add_traceback(r, g->current);
  for (gr_resume *up = g->resumes; up; up = up->outer)
    add_traceback(r, up->from);
}

static void add_creator(report *r, const gr_task *task) {
  char line[GR_CREATOR_BYTES + 60];
  if (!task || !task->creator[0])
    return;
  snprintf(line, sizeof line, "\tstarted by goroutine %llu at %s\n",
           (unsigned long long)task->parent, task->creator);
  add(r, line);
}

static void add_goroutine(report *r, gr_goroutine *g, const char *reason) {
  char title[400];
  gr_task *task = g->owner;
  bool named = task && task->name;
  snprintf(title, sizeof title, "goroutine %llu%s%s%s [%s]:\n",
           (unsigned long long)g->id, named ? " \"" : "",
           named ? task->name : "", named ? "\"" : "", reason);
  add(r, title);
  add_stack(r, g);
  add_creator(r, task);
  add(r, "\n");
}

void gr_dump_all(void) {
  gr_goroutine *self = gr_self();
  report r = {0};
  add_goroutine(&r, self, reason_of(self->wait_kind));
  gr_lock_lock(&gr_the_sched.lock);
  gr_list *all = &gr_the_sched.goroutines;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    if (g != self)
      add_goroutine(&r, g, reason_of(g->wait_kind));
  }
  gr_lock_unlock(&gr_the_sched.lock);
  gr_write_error(r.bytes ? r.bytes : "");
  free(r.bytes);
}

static void read_stack(gr_goroutine *g, void *arg) {
  add_stack(arg, g);
}

char *gr_dump_task(gr_task *task) {
  report r = {0};
  add(&r, "stack traceback:\n");
  gr_enter();
  gr_lock_lock(&task->lock);
  gr_goroutine *g = task->g;
  if (g == gr_self())
    add_stack(&r, g);
  else if (g && !gr_examine(g, read_stack, &r))
    add(&r, "\t(running in C)\n");
  gr_lock_unlock(&task->lock);
  gr_leave();
  add_creator(&r, task);
  if (r.len > 0 && r.bytes[r.len - 1] == '\n')
    r.bytes[r.len - 1] = '\0';
  return r.bytes;
}
