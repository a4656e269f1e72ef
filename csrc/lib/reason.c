// SPDX-License-Identifier: MIT
#include "lib/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/socket.h"
#include "sync/barrier.h"
#include "sync/group.h"
#include "sync/holder.h"
#include "sync/map.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rwmutex.h"
#include "sync/select.h"
#include "sync/semaphore.h"
#include "sync/waitgroup.h"

void gr_report_add(gr_report *r, const char *text) {
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

// At most a line of numbers and fixed words.
__attribute__((format(printf, 2, 3))) static void add(gr_report *r,
                                                      const char *format, ...) {
  char line[160];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  gr_report_add(r, line);
}

static void add_name(gr_report *r, uint64_t id, const char *name) {
  add(r, "goroutine %llu", (unsigned long long)id);
  if (!name)
    return;
  gr_report_add(r, " \"");
  gr_report_add(r, name);
  gr_report_add(r, "\"");
}

void gr_report_add_title(gr_report *r, const gr_task *task, uint64_t id) {
  add_name(r, id, task ? task->name : NULL);
}

const char *gr_reason_of(gr_wait_kind kind) {
  static const char *const reasons[] = {
      [GR_WAIT_NONE] = "waiting",
      [GR_WAIT_SEND] = "chan send",
      [GR_WAIT_RECV] = "chan receive",
      [GR_WAIT_SELECT] = "select",
      [GR_WAIT_SELECT_NONE] = "select (no cases)",
      [GR_WAIT_SLEEP] = "sleep",
      [GR_WAIT_JOIN] = "join",
      [GR_WAIT_MUTEX] = "mutex lock",
      [GR_WAIT_RLOCK] = "rwmutex rlock",
      [GR_WAIT_WLOCK] = "rwmutex lock",
      [GR_WAIT_GROUP] = "waitgroup wait",
      [GR_WAIT_ONCE] = "once run",
      [GR_WAIT_COND] = "cond wait",
      [GR_WAIT_SEMAPHORE] = "semaphore acquire",
      [GR_WAIT_BARRIER] = "barrier wait",
      [GR_WAIT_MAP] = "map key",
      [GR_WAIT_TASKS] = "group wait",
      [GR_WAIT_PLACE] = "group spawn",
      [GR_WAIT_OTHERS] = "waiting for the others to end",
      [GR_WAIT_READ] = "io read",
      [GR_WAIT_WRITE] = "io write",
      [GR_WAIT_ACCEPT] = "accept",
      [GR_WAIT_CONNECT] = "connect",
      [GR_WAIT_REQUEST] = "io",
      [GR_WAIT_PROCESS] = "process",
  };
  return reasons[kind];
}

// The channel as its tostring has it.
static void add_channel(gr_report *r, const char *what, const gr_channel *c) {
  add(r, "\twaiting to %s chan: %p (capacity %u)\n", what, (const void *)c,
      (unsigned)c->capacity);
}

static void add_cases(gr_report *r, const gr_case *c) {
  enum { CASES_MAX = 20 };
  for (int shown = 0;; c++) {
    if (c->channel && shown++ == CASES_MAX) {
      gr_report_add(r, "\t...\n");
      return;
    }
    if (c->channel)
      add_channel(r, c->is_send ? "send on" : "receive from", c->channel);
    if (c->is_last)
      return;
  }
}

static void add_task(gr_report *r, const gr_task *task) {
  gr_report_add(r, "\twaiting for ");
  gr_report_add_title(r, task, task->id);
  gr_report_add(r, " to end\n");
}

// ", which goroutine 7 "name" holds" at the end of a line. Nobody may do so at
// this moment, if others run meanwhile: 0.
static void add_holder(gr_report *r, uint64_t id, const char *does) {
  char *name;
  if (id == 0) {
    gr_report_add(r, "\n");
    return;
  }
  bool exists = gr_holder_find_locked(id, &name);
  gr_report_add(r, ", which ");
  add_name(r, id, name);
  free(name);
  add(r, " %s%s\n", does, exists ? "" : " (it has ended)");
}

static void add_mutex(gr_report *r, const gr_mutex *m) {
  add(r, "\twaiting to lock mutex: %p", (const void *)m);
  add_holder(r, gr_mutex_holder(m), "holds");
}

static void add_rwmutex(gr_report *r, const char *what, const gr_rwmutex *rw) {
  uint64_t writer = gr_rwmutex_writer(rw);
  unsigned long long readers = gr_rwmutex_readers(rw);
  add(r, "\twaiting to %s rwmutex: %p", what, (const void *)rw);
  if (writer || readers == 0)
    add_holder(r, writer, "holds");
  else
    add(r, ", which %llu reader%s hold%s\n", readers, readers == 1 ? "" : "s",
        readers == 1 ? "s" : "");
}

static void add_semaphore(gr_report *r, const gr_semaphore *s) {
  add(r, "\twaiting to acquire from semaphore: %p (%u of %u free)\n",
      (const void *)s, (unsigned)gr_semaphore_free(s), (unsigned)s->size);
}

static void add_once(gr_report *r, gr_once *o) {
  add(r, "\twaiting for once: %p", (void *)o);
  add_holder(r, atomic_load(&o->runner), "runs");
}

static void add_key(gr_report *r, const gr_map_name *name) {
  enum { SHOWN_MAX = 60 };
  const gr_message *m = &name->scalar;
  switch (m->kind) {
  case GR_MESSAGE_NIL:
    add(r, "\"%.*s\"%s", (int)(name->len < SHOWN_MAX ? name->len : SHOWN_MAX),
        name->bytes, name->len > SHOWN_MAX ? "..." : "");
    break;
  case GR_MESSAGE_INTEGER:
    add(r, "%lld", (long long)m->integer);
    break;
  case GR_MESSAGE_FLOAT:
    add(r, "%.14g", m->number);
    break;
  case GR_MESSAGE_FALSE:
  case GR_MESSAGE_TRUE:
    add(r, m->kind == GR_MESSAGE_TRUE ? "true" : "false");
    break;
  default:
    add(r, "%p", m->pointer);
    break;
  }
}

static void add_entry(gr_report *r, const gr_map_entry *entry) {
  gr_report_add(r, "\twaiting for key ");
  add_key(r, entry->name);
  add(r, " of map: %p", (void *)entry->map);
  add_holder(r, gr_map_entry_user(entry), "updates");
}

static unsigned alive_in(const gr_group *group) {
  return atomic_load_explicit(&group->alive, memory_order_relaxed);
}

// The number is open as long as somebody waits. Of a connection the other side
// is told, of what has none its own.
static void add_descriptor(gr_report *r, const char *what,
                           const gr_descriptor *d) {
  if (!d)
    return;
  gr_address a = {.len = sizeof a - offsetof(gr_address, any)};
  char text[GR_ADDRESS_TEXT];
  int port = -1;
  bool has_address = getpeername(d->fd, &a.any, &a.len) == 0;
  if (!has_address) {
    a.len = sizeof a - offsetof(gr_address, any);
    has_address = getsockname(d->fd, &a.any, &a.len) == 0;
  }
  add(r, "\twaiting to %s descriptor %d", what, d->fd);
  if (has_address)
    port = gr_address_text(&a, text);
  if (port > 0)
    add(r, " (%s port %d)", text, port);
  else if (has_address && *text)
    add(r, " (%s)", text);
  gr_report_add(r, "\n");
}

void gr_reason_add_object(gr_report *r, const gr_goroutine *g) {
  const void *object = g->wait_object;
  switch (atomic_load_explicit(&g->wait_kind, memory_order_relaxed)) {
  case GR_WAIT_SEND:
    add_channel(r, "send on", object);
    break;
  case GR_WAIT_RECV:
    add_channel(r, "receive from", object);
    break;
  case GR_WAIT_SELECT:
    add_cases(r, object);
    break;
  case GR_WAIT_JOIN:
    add_task(r, object);
    break;
  case GR_WAIT_MUTEX:
    add_mutex(r, object);
    break;
  case GR_WAIT_RLOCK:
    add_rwmutex(r, "read-lock", object);
    break;
  case GR_WAIT_WLOCK:
    add_rwmutex(r, "lock", object);
    break;
  case GR_WAIT_GROUP:
    add(r, "\twaiting for waitgroup: %p (%u not done)\n", object,
        (unsigned)gr_waitgroup_count(object));
    break;
  case GR_WAIT_ONCE:
    add_once(r, (gr_once *)object);
    break;
  case GR_WAIT_COND:
    add(r, "\twaiting for a signal of cond: %p\n", object);
    break;
  case GR_WAIT_SEMAPHORE:
    add_semaphore(r, object);
    break;
  case GR_WAIT_BARRIER:
    add(r, "\twaiting at barrier: %p (%u of %u there)\n", object,
        (unsigned)gr_barrier_count(object),
        (unsigned)((const gr_barrier *)object)->size);
    break;
  case GR_WAIT_TASKS:
    add(r, "\twaiting for group: %p (%u alive)\n", object, alive_in(object));
    break;
  case GR_WAIT_PLACE:
    add(r, "\twaiting to spawn in group: %p (%u of %u alive)\n", object,
        alive_in(object), (unsigned)((const gr_group *)object)->limit);
    break;
  case GR_WAIT_MAP:
    add_entry(r, object);
    break;
  case GR_WAIT_READ:
    add_descriptor(r, "read from", object);
    break;
  case GR_WAIT_WRITE:
    add_descriptor(r, "write to", object);
    break;
  case GR_WAIT_ACCEPT:
    add_descriptor(r, "accept from", object);
    break;
  case GR_WAIT_CONNECT:
    add_descriptor(r, "connect", object);
    break;
  default:
    break;
  }
}
