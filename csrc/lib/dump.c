// SPDX-License-Identifier: MIT
// Where goroutines are. The state of another goroutine is read only while it
// cannot run: because all are asleep for ever, or through gr_examine. Nothing
// is made in its heap.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"
#include "sched/examine.h"
#include "sync/select.h"

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
  case GR_WAIT_READ:
    return "io read";
  case GR_WAIT_WRITE:
    return "io write";
  case GR_WAIT_ACCEPT:
    return "accept";
  case GR_WAIT_CONNECT:
    return "connect";
  case GR_WAIT_REQUEST:
    return "io";
  case GR_WAIT_PROCESS:
    return "process";
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

// As gr_push_title has it.
static void add_title(report *r, const gr_task *task, uint64_t id) {
  char number[40];
  snprintf(number, sizeof number, "goroutine %llu", (unsigned long long)id);
  add(r, number);
  if (!task || !task->name)
    return;
  add(r, " \"");
  add(r, task->name);
  add(r, "\"");
}

// The channel as its tostring has it.
static void add_channel(report *r, const char *what, const gr_channel *c) {
  char line[120];
  snprintf(line, sizeof line, "\twaiting to %s chan: %p (capacity %u)\n", what,
           (const void *)c, (unsigned)c->capacity);
  add(r, line);
}

static void add_cases(report *r, const gr_case *c) {
  enum { CASES_MAX = 20 };
  for (int shown = 0;; c++) {
    if (c->channel && shown++ == CASES_MAX) {
      add(r, "\t...\n");
      return;
    }
    if (c->channel)
      add_channel(r, c->is_send ? "send on" : "receive from", c->channel);
    if (c->is_last)
      return;
  }
}

// What it waits for. That is there as long as its wait: the goroutine's stacks
// hold it.
static void add_object(report *r, const gr_goroutine *g) {
  const gr_task *task = g->wait_object;
  switch (g->wait_kind) {
  case GR_WAIT_SEND:
    add_channel(r, "send on", g->wait_object);
    break;
  case GR_WAIT_RECV:
    add_channel(r, "receive from", g->wait_object);
    break;
  case GR_WAIT_SELECT:
    add_cases(r, g->wait_object);
    break;
  case GR_WAIT_JOIN:
    add(r, "\twaiting for ");
    add_title(r, task, task->id);
    add(r, " to end\n");
    break;
  default:
    break;
  }
}

static void add_goroutine(report *r, gr_goroutine *g) {
  add_title(r, g->owner, g->id);
  add(r, " [");
  add(r, reason_of(g->wait_kind));
  add(r, "]:\n");
  add_object(r, g);
  add_stack(r, g);
  add_creator(r, g->owner);
  add(r, "\n");
}

void gr_dump_all(void) {
  gr_goroutine *self = gr_self();
  report r = {0};
  add_goroutine(&r, self);
  gr_lock_lock(&gr_the_sched.lock);
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
