// SPDX-License-Identifier: MIT
// go.trace: which goroutine runs on which thread and when, and who wakes whom,
// as events that chrome://tracing and Perfetto read ("Trace Event Format", an
// array in JSON, which may lack its end).
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/lib.h"
#include "lib/reason.h"
#include "sched/tracer.h"

enum {
  ROOM = 64 * 1024, // written when it is full
  EVENT_MAX = 600,
  COUNTS_NS = 1000000, // how often counters are written, at most
};

typedef enum progress { IDLE, BUSY, WRITING } progress; // BUSY: opens or ends

static gr_lock lock = GR_LOCK_STATIC(GR_RANK_LEAF);

// Guarded by the lock.
static struct {
  progress progress;
  int fd, err; // the first error of writing, after which nothing is written
  char *bytes;
  size_t len;
  uint32_t number; // of this trace: 1, 2, ...
  uint64_t begin_ns, counted_ns;
  // By the number of the thread: whether it is known, and runs something.
  struct row {
    bool is_named, is_open;
  } * rows;
  size_t row_count;
} trace;

// --- writing, under the lock ---

static void flush(void) {
  for (size_t done = 0; done < trace.len && !trace.err;) {
    ssize_t put = write(trace.fd, trace.bytes + done, trace.len - done);
    if (put >= 0)
      done += (size_t)put;
    else if (errno != EINTR)
      trace.err = errno;
  }
  trace.len = 0;
}

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...) {
  va_list args;
  if (ROOM - trace.len < EVENT_MAX)
    flush();
  va_start(args, format);
  int len = vsnprintf(trace.bytes + trace.len, EVENT_MAX, format, args);
  va_end(args);
  if (len > 0 && len < EVENT_MAX) // else it is left out
    trace.len += (size_t)len;
}

// An event has these fields, and more behind them.
static void begin_event(const char *phase, uint32_t thread, uint64_t now_ns) {
  uint64_t ns = now_ns - trace.begin_ns;
  add(",\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%u,\"ts\":%llu.%03u", phase,
      (int)getpid(), thread, (unsigned long long)(ns / 1000),
      (unsigned)(ns % 1000));
}

static void name_thread(const gr_worker *w) {
  begin_event("M", w->id, trace.begin_ns);
  add(",\"name\":\"thread_name\",\"args\":{\"name\":\"");
  if (w->main)
    add("main thread\"}}");
  else
    add("thread %u\"}}", w->id);
}

// NULL when out of memory: nothing is told of that thread.
static struct row *row_of(const gr_worker *w) {
  if (w->id >= trace.row_count) {
    size_t count = 2 * (size_t)w->id + 16;
    struct row *rows = realloc(trace.rows, count * sizeof *rows);
    if (!rows)
      return NULL;
    memset(rows + trace.row_count, 0, (count - trace.row_count) * sizeof *rows);
    trace.rows = rows;
    trace.row_count = count;
  }
  struct row *row = &trace.rows[w->id];
  if (!row->is_named)
    name_thread(w);
  row->is_named = true;
  return row;
}

// How many bytes the character there has in UTF-8; 0 for what is none. (Longer
// forms than needed and surrogates are let through: who reads them copes.)
static size_t character_bytes(const char *text) {
  unsigned char first = (unsigned char)*text;
  size_t bytes = first < 0x80                    ? 1
                 : first >= 0xC2 && first < 0xE0 ? 2
                 : first >= 0xE0 && first < 0xF0 ? 3
                 : first >= 0xF0 && first < 0xF5 ? 4
                                                 : 0;
  for (size_t i = 1; i < bytes; i++)
    if (((unsigned char)text[i] & 0xC0) != 0x80)
      return 0;
  return bytes;
}

// As part of a string in JSON, up to some length; bytes that are no character
// become question marks.
static void add_text(const char *text) {
  enum { LONGEST = sizeof "\\u0000" };
  char escaped[200];
  size_t len = 0;
  while (*text && len + LONGEST <= sizeof escaped) {
    char *at = escaped + len;
    size_t bytes = character_bytes(text), room = sizeof escaped - len;
    if (bytes == 0)
      len += (size_t)snprintf(at, room, "?");
    else if (*text == '"' || *text == '\\')
      len += (size_t)snprintf(at, room, "\\%c", *text);
    else if ((unsigned char)*text < ' ')
      len += (size_t)snprintf(at, room, "\\u%04x", (unsigned)*text);
    else
      len += (size_t)snprintf(at, room, "%.*s", (int)bytes, text);
    text += bytes ? bytes : 1;
  }
  escaped[len] = '\0';
  add("%s", escaped);
}

static void add_title(const gr_goroutine *g) {
  const gr_task *task = g->owner;
  if (g->is_main)
    add("main");
  else if (task && task->name)
    add_text(task->name);
  else if (task && task->creator[0])
    add_text(task->creator);
  else
    add("goroutine");
}

static void add_counts(const gr_goroutine *g, uint64_t now_ns) {
  gr_sched *s = &gr_the_sched;
  if (now_ns < trace.counted_ns + COUNTS_NS)
    return;
  trace.counted_ns = now_ns;
  begin_event("C", 0, now_ns);
  add(",\"name\":\"goroutines\",\"args\":{\"goroutines\":%llu}}",
      (unsigned long long)atomic_load(&g->family->count));
  begin_event("C", 0, now_ns);
  add(",\"name\":\"queued\",\"args\":{\"queued\":%u}}",
      atomic_load(&s->global.count) + gr_count_woken(s));
}

// --- the tracer ---

static void open_row(gr_worker *w, gr_goroutine *g) {
  uint64_t now_ns = gr_now_ns();
  struct row *row = row_of(w);
  if (!row)
    return;
  add_counts(g, now_ns);
  begin_event("B", w->id, now_ns);
  add(",\"name\":\"");
  add_title(g);
  add("\",\"args\":{\"goroutine\":%llu}}", (unsigned long long)g->id);
  row->is_open = true;
  if (g->traced_wake != trace.number) // or in a trace before
    return;
  begin_event("f", w->id, now_ns);
  add(",\"bp\":\"e\",\"id\":%llu,\"cat\":\"wake\",\"name\":\"wake\"}",
      (unsigned long long)g->id);
}

static void close_row(const gr_worker *w, const char *then) {
  struct row *row = row_of(w);
  if (!row || !row->is_open)
    return;
  begin_event("E", w->id, gr_now_ns());
  add(",\"args\":{\"then\":\"%s\"}}", then);
  row->is_open = false;
}

static void on_run(gr_worker *w, gr_goroutine *g) {
  gr_lock_lock(&lock);
  if (trace.progress == WRITING)
    open_row(w, g);
  gr_lock_unlock(&lock);
  g->traced_wake = 0;
}

static void on_leave(gr_worker *w, gr_goroutine *g, gr_leaving why) {
  static const char *const thens[] = {
      [GR_LEAVES_TO_YIELD] = "yield",
      [GR_LEAVES_PREEMPTED] = "preempted",
      [GR_LEAVES_TO_MOVE] = "goes on on another thread",
      [GR_LEAVES_AT_END] = "end",
  };
  gr_lock_lock(&lock);
  if (trace.progress == WRITING)
    close_row(w, why == GR_LEAVES_TO_WAIT ? gr_reason_of(g->wait_kind)
                                          : thens[why]);
  gr_lock_unlock(&lock);
}

static void on_wake(gr_worker *w, gr_goroutine *g) {
  gr_lock_lock(&lock);
  struct row *row = trace.progress == WRITING ? row_of(w) : NULL;
  if (row && row->is_open) {
    begin_event("s", w->id, gr_now_ns());
    add(",\"id\":%llu,\"cat\":\"wake\",\"name\":\"wake\"}",
        (unsigned long long)g->id);
    g->traced_wake = trace.number;
  }
  gr_lock_unlock(&lock);
}

static const gr_tracer tracer = {on_run, on_leave, on_wake};

// --- beginning and ending ---

// Another one can begin then. 0, or errno.
static int end_trace(void) {
  atomic_store(&gr_the_tracer, NULL);
  gr_lock_lock(&lock);
  uint64_t now_ns = gr_now_ns();
  for (size_t i = 0; i < trace.row_count; i++)
    if (trace.rows[i].is_open) {
      begin_event("E", (uint32_t)i, now_ns);
      add("}");
    }
  add("\n]\n");
  flush();
  int err = trace.err;
  if (close(trace.fd) != 0 && !err)
    err = errno;
  free(trace.bytes);
  free(trace.rows);
  trace.bytes = NULL;
  trace.rows = NULL;
  trace.row_count = 0;
  trace.progress = IDLE;
  gr_lock_unlock(&lock);
  return err;
}

static bool advance(progress from, progress to) {
  gr_lock_lock(&lock);
  bool is_there = trace.progress == from;
  if (is_there)
    trace.progress = to;
  gr_lock_unlock(&lock);
  return is_there;
}

// As the process ends. A child's trace is its parent's.
static void end_at_exit(void) {
  if (!gr_is_child() && advance(WRITING, BUSY))
    end_trace();
}

// The caller runs.
static void begin_trace(int fd, char *bytes) {
  static bool ends_at_exit; // guarded by the lock
  gr_lock_lock(&lock);
  trace.fd = fd;
  trace.bytes = bytes;
  trace.len = 0;
  trace.err = 0;
  trace.number++;
  trace.begin_ns = gr_now_ns();
  trace.counted_ns = 0;
  trace.progress = WRITING;
  add("[\n{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"ts\":0.000,"
      "\"name\":\"process_name\",\"args\":{\"name\":\"goroutines\"}}",
      (int)getpid());
  open_row(gr_worker_self(), gr_self());
  if (!ends_at_exit)
    atexit(end_at_exit);
  ends_at_exit = true;
  gr_lock_unlock(&lock);
  atomic_store(&gr_the_tracer, &tracer);
}

static int push_begun(lua_State *L, const char *path) {
  if (!advance(IDLE, BUSY))
    return luaL_error(L,
                      "bad call of 'trace' (a trace is being written already)");
  char *bytes = malloc(ROOM);
  gr_mark_blocking(true);
  int fd =
      bytes ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
  int err = errno;
  gr_mark_blocking(false);
  if (fd < 0) {
    advance(BUSY, IDLE);
    if (!bytes)
      return luaL_error(L, "not enough memory");
    free(bytes);
    return gr_fs_push_failure(L, uv_translate_sys_error(err), path);
  }
  gr_enter();
  begin_trace(fd, bytes);
  gr_leave();
  lua_pushboolean(L, 1);
  return 1;
}

static int push_ended(lua_State *L) {
  if (!advance(WRITING, BUSY)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  gr_mark_blocking(true);
  int err = end_trace();
  gr_mark_blocking(false);
  if (err)
    return gr_io_push_failure(L, uv_translate_sys_error(err), "trace");
  lua_pushboolean(L, 1);
  return 1;
}

static int go_trace(lua_State *L) {
  gr_arg_count(L, 1, "trace");
  if (gr_is_child())
    gr_arg_apart_error(L, "trace");
  if (lua_isnoneornil(L, 1))
    return push_ended(L);
  if (lua_type(L, 1) != LUA_TSTRING)
    gr_arg_type_error(L, 1, 1, "trace", "path or nil");
  return push_begun(L, lua_tostring(L, 1));
}

void gr_lib_trace(lua_State *L) {
  lua_pushcfunction(L, go_trace);
  lua_setfield(L, -2, "trace");
}
