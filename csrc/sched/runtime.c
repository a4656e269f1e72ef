// SPDX-License-Identifier: MIT
#include "sched/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sched/debug.h"
#include "sched/monitor.h"
#include "sched/preempt.h"
#include "sched/sched.h"
#include "sched/tracer.h"

enum {
  STOP_NS = 100000000,
  SEAL_NS = 1000000000, // the monitor does nothing that takes long
  RESIGNAL_NS = 500000,
  FILES_WANTED = 8192,
  GUARDS_BY_MPROTECT = 16 * 1024,
};

// --- how many processors ---

#ifdef __linux__
static bool read_line(const char *path, char *line, size_t room) {
  FILE *f = fopen(path, "re");
  if (!f)
    return false;
  bool got = fgets(line, (int)room, f) != NULL;
  fclose(f);
  return got;
}

// The CPU quota of the process's cgroup (version 2, or 1), rounded up to whole
// processors; 0 when there is none.
static unsigned cgroup_quota(void) {
  char line[128];
  long long quota = 0, period = 0;
  if (read_line("/sys/fs/cgroup/cpu.max", line, sizeof line)) {
    if (sscanf(line, "%lld %lld", &quota, &period) != 2)
      return 0;
  } else {
    if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line))
      quota = atoll(line);
    if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line, sizeof line))
      period = atoll(line);
  }
  if (quota <= 0 || period <= 0)
    return 0;
  return (unsigned)((quota + period - 1) / period);
}
#endif

static unsigned usable_cpus(void) {
#ifdef __linux__
  cpu_set_t set;
  unsigned count = 1, quota = cgroup_quota();
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    count = (unsigned)CPU_COUNT(&set);
  return quota && quota < count ? quota : count;
#else
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (unsigned)count : 1;
#endif
}

// A whole number from the environment, or `otherwise`.
static unsigned number_from(const char *name, long min, long max,
                            unsigned otherwise) {
  const char *text = getenv(name);
  if (!text)
    return otherwise;
  char *end;
  long asked = strtol(text, &end, 10);
  if (*text && *end == '\0' && asked >= min && asked <= max)
    return (unsigned)asked;
  fprintf(stderr, "goroutines: %s=%s is not a number from %ld to %ld\n", name,
          text, min, max);
  return otherwise;
}

static unsigned initial_procs(void) {
  unsigned count =
      number_from("GOROUTINES_PROCS", 1, GR_PROCS_MAX, usable_cpus());
  return count > GR_PROCS_MAX ? GR_PROCS_MAX : count;
}

// Descriptors are a matter of some per processor; take what we may have.
static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILES_WANTED &&
      limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur =
        limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// GOROUTINES_GUARDS=mprotect: guard pages as older kernels need them.
static void choose_guards(void) {
  const char *text = getenv("GOROUTINES_GUARDS");
  if (text && !strcmp(text, "mprotect"))
    gr_stack_limit_guards(GUARDS_BY_MPROTECT, true);
}

// --- fork ---

// In the child, on the thread that forked: nothing that it runs may switch, for
// the scheduler would run goroutines there that run in the parent. No lock is
// taken and nothing allocated, so that a child may go on to exec at once.
static void become_child(void) {
  gr_worker *w = gr_worker_self();
  atomic_store(&gr_was_forked, true);
  atomic_store(&gr_some_are_apart, true);
  atomic_store(&gr_the_tracer, NULL); // whose lock another thread may have had
  if (w)
    atomic_store(&w->preempt, 0); // no slice has this number
}

// --- starting ---

static const char *start(void) {
  gr_sched_init();
  raise_file_limit();
  choose_guards();
  gr_debug_init();
  gr_the_sched.threads_max =
      number_from("GOROUTINES_THREADS", 2, 1000000, GR_THREADS_DEFAULT);
  pthread_sigmask(SIG_SETMASK, NULL, &gr_the_sched.host_mask);
  if (!gr_preempt_init())
    return "the preemption signal cannot be caught";
  if (gr_monitor_start() != 0)
    return "no thread or no file descriptors for the monitor";
  if (!gr_set_procs(initial_procs()))
    return "no memory or no file descriptors for so many processors";
  return NULL;
}

// libuv's destructor comes next, after which it aborts when a handler of
// signals is taken away, as one is when a channel of them is collected.
static void stop_at_exit(void) {
  gr_runtime_stop();
  if (!gr_is_child())
    gr_loop_seal(gr_monitor_loop(), gr_now_ns() + SEAL_NS);
}

const char *gr_runtime_start(void) {
  const char *failure = start();
  if (failure)
    return failure;
  atexit(stop_at_exit);
  if (!gr_worker_init_hosts() || pthread_atfork(NULL, NULL, become_child) != 0)
    return "not enough memory";
  return NULL;
}

// Where no processor is free, main is as one that has lost its own in a C call.
static void get_processor(gr_worker *w) {
  if (!gr_take_idle_processor(w)) {
    gr_lock_lock(&gr_the_sched.lock);
    gr_the_sched.without_processor++;
    gr_lock_unlock(&gr_the_sched.lock);
  }
  gr_monitor_busy();
  gr_enter();
  gr_leave();
}

bool gr_runtime_join(lua_State *L) {
  gr_goroutine *main = gr_goroutine_new_main();
  gr_worker *w = main ? gr_worker_new_host(main) : NULL;
  if (!w) {
    if (main)
      gr_goroutine_free(main);
    return false;
  }
  main->L = main->current = L;
  get_processor(w);
  return true;
}

// --- stopping ---

bool gr_insist(bool (*urge)(void *arg), void *arg) {
  uint64_t end_ns = gr_now_ns() + STOP_NS;
  unsigned pause_us = 20;
  while (!urge(arg)) {
    if (gr_now_ns() >= end_ns)
      return false;
    usleep(pause_us);
    if (pause_us < RESIGNAL_NS / 1000)
      pause_us *= 2;
  }
  return true;
}

// Wakes or interrupts every worker but the caller's. True if all have stopped.
static bool urge_all(void *self) {
  gr_sched *s = &gr_the_sched;
  bool all_gone = true;
  gr_lock_lock(&s->lock);
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_worker *w = GR_CONTAINER(at, gr_worker, all);
    if (w == self || w->is_gone)
      continue;
    all_gone = false;
    gr_processor *p = atomic_load(&w->p);
    if (p)
      gr_loop_wake(&p->loop);
    else
      uv_sem_post(&w->handed);
    if (atomic_load(&w->g))
      gr_preempt_locked(w, 0);
  }
  gr_lock_unlock(&s->lock);
  return all_gone;
}

bool gr_runtime_stop(void) {
  if (gr_is_child() || atomic_exchange(&gr_the_sched.stopping, true))
    return true;
  gr_goroutine *g = gr_self();
  if (g && g->is_main) { // what it waits for from now on never comes
    g->is_over = true;
    atomic_store(&gr_some_are_apart, true);
  }
  return gr_insist(urge_all, gr_worker_self());
}
