// SPDX-License-Identifier: MIT
#include "sched/debug.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/sched.h"

gr_debug_settings gr_the_debug;

static uint64_t begin_ns, next_ns; // the monitor's, after the start

static bool take_word(const char *word, size_t len) {
  static const char name[] = "schedtrace=";
  const size_t name_len = sizeof name - 1;
  if (len == strlen("sigquit") && !memcmp(word, "sigquit", len)) {
    gr_the_debug.sigquit = true;
    return true;
  }
  if (len <= name_len || memcmp(word, name, name_len) != 0)
    return false;
  char *end;
  long ms = strtol(word + name_len, &end, 10);
  if (end != word + len || ms < 1 || ms > 1000000000)
    return false;
  gr_the_debug.schedtrace_ns = (uint64_t)ms * 1000000;
  return true;
}

void gr_debug_init(void) {
  const char *at = getenv("GOROUTINES_DEBUG");
  begin_ns = gr_now_ns();
  while (at && *at) {
    size_t len = strcspn(at, ",");
    if (len > 0 && !take_word(at, len))
      fprintf(stderr,
              "goroutines: GOROUTINES_DEBUG has '%.*s', which is neither "
              "'sigquit' nor 'schedtrace=' and milliseconds\n",
              (int)len, at);
    at += len + (at[len] == ',');
  }
  next_ns = begin_ns + gr_the_debug.schedtrace_ns;
}

typedef struct line {
  char bytes[1000];
  size_t len;
} line;

__attribute__((format(printf, 2, 3))) static void add(line *l,
                                                      const char *format, ...) {
  va_list args;
  size_t room = sizeof l->bytes - l->len;
  va_start(args, format);
  int len = vsnprintf(l->bytes + l->len, room, format, args);
  va_end(args);
  if (len > 0 && (size_t)len < room)
    l->len += (size_t)len;
}

static unsigned count_idle_threads_locked(void) {
  unsigned count = 0;
  for (gr_worker *w = gr_the_sched.idle_workers; w; w = w->next_idle)
    count++;
  return count;
}

static unsigned long long count_goroutines_locked(void) {
  unsigned long long count = 0;
  gr_list *all = &gr_the_sched.families;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next)
    count += atomic_load(&GR_CONTAINER(at, gr_family, all)->count);
  return count;
}

static void write_line(uint64_t now_ns) {
  enum { RINGS_MAX = 64 };
  gr_sched *s = &gr_the_sched;
  line l = {.len = 0};
  unsigned procs = atomic_load(&s->procs);
  gr_lock_lock(&s->lock);
  add(&l,
      "SCHED %llums: procs=%u idle_procs=%u threads=%u idle_threads=%u "
      "searching=%u goroutines=%llu global=%u woken=%u [",
      (unsigned long long)((now_ns - begin_ns) / 1000000), procs,
      atomic_load(&s->idle_count), s->threads, count_idle_threads_locked(),
      atomic_load(&s->searching), count_goroutines_locked(),
      atomic_load(&s->global.count), gr_count_woken(s));
  gr_lock_unlock(&s->lock);
  for (unsigned i = 0; i < procs && i < RINGS_MAX; i++) {
    gr_runq *q = &atomic_load(&s->processors[i])->runq;
    add(&l, "%s%u", i ? " " : "",
        gr_runq_count(q) + (atomic_load(&q->next) != NULL));
  }
  add(&l, procs > RINGS_MAX ? " ...]\n" : "]\n");
  ssize_t put = write(STDERR_FILENO, l.bytes, l.len);
  (void)put;
}

void gr_debug_look(gr_round *r) {
  if (GR_LIKELY(!gr_the_debug.schedtrace_ns))
    return;
  if (next_ns <= r->now_ns) {
    write_line(r->now_ns);
    next_ns = r->now_ns + gr_the_debug.schedtrace_ns;
  }
  gr_sooner(r, next_ns);
}
