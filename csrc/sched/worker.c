// SPDX-License-Identifier: MIT
// Threads: starting them, what signals they take, blocking calls.
#include "sched/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "sched/preempt.h"
#include "sched/sched.h"

enum { SIGNAL_STACK_BYTES = 64 * 1024 };

// initial-exec: the signal handler reads it, and may not allocate.
__thread gr_worker *gr_the_worker
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

bool gr_enter_needs_fence;

#if !(defined(__x86_64__) && defined(__linux__))
gr_worker *gr_worker_self(void) {
  __asm__ volatile("" ::: "memory");
  return gr_the_worker;
}
#endif

static void set_worker(gr_worker *w) {
  gr_the_worker = w;
  gr_lock_sleeps = w ? &w->sleeps_for_lock : NULL;
}

static void note_thread(gr_worker *w) {
#ifdef __linux__
  atomic_store(&w->tid, (int)syscall(SYS_gettid));
#else
  (void)w;
#endif
}

static bool is_first_thread(gr_worker *w) {
#ifdef __linux__
  return atomic_load(&w->tid) == getpid();
#else
  (void)w;
  return true; // as far as we know
#endif
}

static void use_signal_stack(gr_worker *w) {
  stack_t present;
  if (sigaltstack(NULL, &present) == 0 && !(present.ss_flags & SS_DISABLE))
    return; // the host has its own
  w->signal_stack = malloc(SIGNAL_STACK_BYTES);
  if (!w->signal_stack)
    return;
  stack_t ours = {.ss_sp = w->signal_stack, .ss_size = SIGNAL_STACK_BYTES};
  sigaltstack(&ours, NULL);
}

static gr_worker *new_worker(void) {
  gr_worker *w = calloc(1, sizeof *w);
  if (!w)
    return NULL;
  if (uv_sem_init(&w->handed, 0) != 0) {
    free(w);
    return NULL;
  }
  atomic_init(&w->slice, 1);
  atomic_init(&w->in_runtime, true);
  return w;
}

static void free_worker(gr_worker *w) {
  if (w)
    uv_sem_destroy(&w->handed);
  free(w);
}

static void enlist_locked(gr_worker *w) {
  w->id = ++gr_the_sched.last_worker_id;
  gr_the_sched.threads++;
  gr_list_push(&gr_the_sched.workers, &w->all);
}

// The key's value is the worker of a host's thread: what is left of it goes
// with the thread.
static pthread_key_t host_key;

static void free_host(gr_worker *w) {
  gr_goroutine *main = w->main;
  gr_family_forget_main(main->owner);
  gr_goroutine_free_main(main);
  free(w);
}

// If the state was not closed, nobody enters it again.
static void on_thread_end(void *value) {
  gr_worker *w = value;
  if (!w->main)
    return; // it goes on on another thread
  if (!w->main->is_over)
    gr_family_end();
  set_worker(NULL);
  free_host(w);
}

bool gr_worker_init_hosts(void) {
  return pthread_key_create(&host_key, on_thread_end) == 0;
}

static void run_scheduler_for_ever(void *arg) {
  gr_worker *w = arg;
  gr_sched_loop(w);
  gr_worker_fini(w);
  for (;;) // the process ends; the host's thread is not ours to end
    pause();
}

gr_worker *gr_worker_new_host(gr_goroutine *main) {
  gr_worker *before = gr_the_worker; // whose main has ended
  gr_worker *w = new_worker();
  gr_stack *stack = w ? gr_stack_new() : NULL;
  if (!stack || pthread_setspecific(host_key, w) != 0) {
    if (stack)
      gr_stack_free(stack);
    free_worker(w);
    return NULL;
  }
  w->scheduler_stack = stack;
  gr_context_init(&w->context, stack->base,
                  (size_t)((char *)stack - stack->base), run_scheduler_for_ever,
                  w);
  w->main = main;
  w->thread = pthread_self();
  main->bound = w;
  atomic_store(&w->g, main);
  gr_lock_lock(&gr_the_sched.lock);
  enlist_locked(w);
  gr_lock_unlock(&gr_the_sched.lock);
  set_worker(w);
  if (before)
    free_host(before);
  note_thread(w);
  main->may_move = is_first_thread(w);
  use_signal_stack(w);
  return w;
}

static void delist_locked(gr_worker *w) {
  gr_list_remove(&w->all);
  gr_the_sched.threads--;
}

static void drop_signal_stack(gr_worker *w) {
  if (!w->signal_stack)
    return;
  stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  free(w->signal_stack);
  w->signal_stack = NULL;
}

// The thread keeps the worker and main, which tell what is called from now on
// that it is too late. What it needed to wait goes.
void gr_worker_leave_host(void) {
  gr_worker *w = gr_worker_self();
  gr_goroutine *main = w->main;
  gr_leave_processor(w);
  gr_lock_lock(&gr_the_sched.lock);
  delist_locked(w);
  gr_lock_unlock(&gr_the_sched.lock);
  gr_goroutine_delist(main);
  atomic_store_explicit(&w->preempt, 0, memory_order_relaxed);
  atomic_store_explicit(&w->in_runtime, false, memory_order_relaxed);
  drop_signal_stack(w);
  if (!w->scheduler_stack)
    return; // another one's thread: main was moved there
  gr_context_fini(&w->context);
  gr_stack_free(w->scheduler_stack);
  w->scheduler_stack = NULL;
  uv_sem_destroy(&w->handed);
}

static void block_signals(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}

// A thread without work ends. Once off the lists, nobody knows it.
static void retire(gr_worker *w) {
  block_signals();
  gr_lock_lock(&gr_the_sched.lock);
  delist_locked(w);
  gr_lock_unlock(&gr_the_sched.lock);
  set_worker(NULL);
  drop_signal_stack(w);
  free_worker(w);
}

static void *run_thread(void *arg) {
  gr_worker *w = arg;
  set_worker(w);
  note_thread(w);
  use_signal_stack(w);
  gr_preempt_unblock();
  gr_context_init_thread(&w->context);
  gr_sched_loop(w);
  if (w->retires)
    retire(w);
  else
    gr_worker_fini(w);
  return NULL;
}

static void report_no_thread(const char *why) {
  static atomic_bool reported;
  char line[200];
  if (atomic_exchange(&reported, true))
    return;
  int len =
      snprintf(line, sizeof line,
               "goroutines: no thread for goroutines that could run (%s); "
               "they wait until a call that blocks its thread ends\n",
               why);
  ssize_t put = write(STDERR_FILENO, line, (size_t)len);
  (void)put;
}

gr_worker *gr_worker_start(gr_processor *p, bool to_search) {
  GR_ASSERT(!gr_is_child()); // it would run goroutines of the parent
  gr_worker *w = new_worker();
  if (!w)
    return NULL;
  w->searching = to_search;
  gr_lock_lock(&gr_the_sched.lock);
  bool fits = gr_the_sched.threads < gr_the_sched.threads_max;
  if (fits) {
    enlist_locked(w);
    gr_attach_locked(w, p);
  }
  gr_lock_unlock(&gr_the_sched.lock);
  if (!fits) {
    free_worker(w);
    report_no_thread("GOROUTINES_THREADS are in use");
    return NULL;
  }

  // The process's signals are for the host's threads; only ours is taken here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int err = pthread_create(&w->thread, NULL, run_thread, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (err == 0) {
    pthread_detach(w->thread); // its end is told by is_gone
    return w;
  }

  report_no_thread(strerror(err));
  gr_lock_lock(&gr_the_sched.lock);
  delist_locked(w);
  gr_detach_locked(w, p);
  gr_lock_unlock(&gr_the_sched.lock);
  free_worker(w);
  return NULL;
}

void gr_worker_fini(gr_worker *w) {
  block_signals(); // one on its way finds a thread that still has a worker
  gr_lock_lock(&gr_the_sched.lock);
  w->is_gone = true; // no signal is sent to it from now on
  gr_lock_unlock(&gr_the_sched.lock);
}

// --- blocking calls ---

// Gives the processor away if somebody waits for one. The goroutine goes on
// without, as one that it was taken from.
static void give_away(gr_worker *w) {
  gr_processor *p = atomic_load_explicit(&w->p, memory_order_relaxed);
  if (!gr_others_wait(w) || atomic_load(&w->bound_ready))
    return;
  gr_lock_lock(&gr_the_sched.lock);
  gr_detach_locked(w, p);
  gr_the_sched.without_processor++;
  gr_lock_unlock(&gr_the_sched.lock);
  gr_handoff(p, false);
}

void gr_block_begin(void) {
  if (gr_is_apart())
    return;
  gr_enter();
  gr_leave_main_thread();
  gr_worker *w = gr_worker_self();
  give_away(w);
  // The monitor takes the processor as soon as somebody wants it.
  atomic_store(&w->blocking, true);
  atomic_store_explicit(&w->in_runtime, false, memory_order_release);
}

void gr_block_end(void) {
  if (gr_is_apart())
    return;
  gr_worker *w = gr_worker_self();
  atomic_store(&w->blocking, false);
  gr_enter(); // gets a processor if it was taken away
  gr_leave();
}
