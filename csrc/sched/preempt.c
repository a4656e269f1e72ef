// SPDX-License-Identifier: MIT
// The handlers run on an alternate stack, on the thread they are about, and
// touch only that thread's worker and the hook of the coroutine that runs.
#include "sched/preempt.h"

#include <errno.h>
#include <lua.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sched/sched.h"

static struct sigaction previous[NSIG]; // written before ours is installed

// --- giving way ---

void gr_preempt_poll(void) {
  if (gr_is_apart())
    return;
  gr_enter();
  gr_leave();
}

void (*gr_preempt_on_strike)(lua_State *L, int count);

void gr_preempt_poll_in_hook(lua_State *L, int count) {
  gr_preempt_poll();
  if (GR_UNLIKELY(atomic_load(&gr_self()->struck)))
    gr_preempt_on_strike(L, count);
}

static bool is_ours(lua_Hook hook) {
  return !hook || hook == gr_preempt_hook;
}

void gr_preempt_arm(lua_State *L) {
  if (is_ours(lua_gethook(L)))
    lua_sethook(L, gr_preempt_hook, LUA_MASKCOUNT, 1);
}

// Between looking and removing, the host's Ctrl-C handler might set its hook,
// on this very thread: it would be erased. So it is held off on a main.
static void disarm(lua_State *L, bool is_main) {
  sigset_t interrupt, before;
  if (is_main) {
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
  }
  if (is_ours(lua_gethook(L)))
    lua_sethook(L, NULL, 0, 0);
  if (is_main)
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void gr_preempt_disarm(lua_State *L) {
  disarm(L, true);
}

void gr_preempt_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  gr_goroutine *g = gr_self();
  if (!g) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  int count = lua_gethookcount(L);
  disarm(L, g->is_main);
  // A coroutine resumed behind our back: the handler is to find it from now on.
  g->current = L;
  gr_preempt_poll_in_hook(L, count);
}

void gr_preempt_count_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  gr_goroutine *g = gr_self();
  if (g)
    g->current = L;
  if (gr_preempt_is_wanted())
    gr_preempt_poll_in_hook(L, GR_PREEMPT_COUNT_STEP);
}

// --- the preemption signal ---

static void pass_on(int sig, siginfo_t *info, void *context) {
  struct sigaction *before = &previous[sig];
  if (before->sa_flags & SA_SIGINFO) {
    before->sa_sigaction(sig, info, context);
  } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
    before->sa_handler(sig);
  }
}

// Arming takes as long as the stack is deep: Lua sets a mark in each frame.
// What has been armed and has not fired yet, for a C function is in progress,
// is not armed again before that has become cheap; and in each slice the
// goroutine goes on for longer than arming took the last time.
static void arm(gr_worker *w, gr_goroutine *g, lua_State *L) {
  enum { SHARE = 8, GAIN = 2, ARMING_MAX_NS = 5000000 };
  uint32_t slice = atomic_load_explicit(&w->slice, memory_order_relaxed);
  uint64_t begin_ns = gr_now_ns();
  if (w->armed_slice == slice && begin_ns < w->arm_again_ns)
    return;
  uint64_t since_ns =
      atomic_load_explicit(&w->seen_since_ns, memory_order_relaxed);
  if (g->armed == L && begin_ns < since_ns + GAIN * g->arming_ns)
    return;
  lua_sethook(L, gr_preempt_hook, LUA_MASKCOUNT, 1);
  uint64_t end_ns = gr_now_ns();
  uint64_t took_ns = end_ns - begin_ns;
  w->armed_slice = slice;
  w->arm_again_ns = end_ns + SHARE * took_ns;
  g->armed = L;
  g->arming_ns = took_ns < ARMING_MAX_NS ? took_ns : ARMING_MAX_NS;
}

static void on_preempt(int sig, siginfo_t *info, void *context) {
  int saved_errno = errno;
  gr_worker *w = gr_worker_self();
  gr_goroutine *g =
      w ? atomic_load_explicit(&w->g, memory_order_relaxed) : NULL;
  if (g && !atomic_load_explicit(&w->in_runtime, memory_order_relaxed) &&
      gr_preempt_is_wanted()) {
    lua_State *L = g->current;
    if (L && is_ours(lua_gethook(L)))
      arm(w, g, L);
  }
  if (w)
    atomic_store(&w->is_signalled, false);
#ifdef SI_TKILL
  if (info->si_code != SI_TKILL || info->si_pid != getpid())
    pass_on(sig, info, context);
#else
  (void)pass_on, (void)sig, (void)info, (void)context;
#endif
  errno = saved_errno;
}

void gr_preempt_unblock(void) {
  sigset_t mask;
  sigfillset(&mask);
  sigdelset(&mask, atomic_load(&gr_the_sched.preempt_signal));
  sigdelset(&mask, SIGSEGV);
  sigdelset(&mask, SIGBUS);
  sigdelset(&mask, SIGFPE);
  sigdelset(&mask, SIGILL);
  sigdelset(&mask, SIGABRT);
  sigdelset(&mask, SIGTRAP);
  sigdelset(&mask, SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static bool catch_signal(int sig, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  struct sigaction before;
  if (sigaction(sig, NULL, &before) != 0)
    return false;
  if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction == handler)
    return true;
  previous[sig] = before;
  return sigaction(sig, &action, NULL) == 0;
}

bool gr_preempt_set_signal(int sig) {
  if (sig <= 0 || sig >= NSIG || !catch_signal(sig, on_preempt))
    return false;
  atomic_store(&gr_the_sched.preempt_signal, sig);
  return true;
}

// If a signal could come while the handler runs, then for a deep recursion the
// next would always be there before an instruction is executed. One that is
// left out is not missed: whoever asks repeats it until the goroutine has given
// way.
void gr_preempt_locked(gr_worker *w, uint64_t had_ns) {
  gr_sched *s = &gr_the_sched;
  atomic_store_explicit(&w->had_ns, had_ns, memory_order_relaxed);
  // release, pairs with the fence in gr_leave_slow
  atomic_store_explicit(&w->preempt, atomic_load(&w->slice),
                        memory_order_release);
  gr_goroutine *g = atomic_load(&w->g);
  bool has_to_end = g && (atomic_load(&g->struck) & GR_STRUCK_END);
  if (w->is_gone ||
      (atomic_load(&s->preempt_mode) != GR_PREEMPT_SIGNAL && !has_to_end) ||
      atomic_exchange(&w->is_signalled, true))
    return;
  atomic_fetch_add_explicit(&s->signals, 1, memory_order_relaxed);
  pthread_kill(w->thread, atomic_load(&s->preempt_signal));
}

// --- SIGPIPE: an error, not a death; but for the process's own output ---

static void on_broken_pipe(int sig, siginfo_t *info, void *context) {
  (void)info, (void)context;
  int saved_errno = errno;
  struct pollfd own[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                          {.fd = STDERR_FILENO, .events = POLLOUT}};
  if (poll(own, 2, 0) > 0 && ((own[0].revents | own[1].revents) & POLLERR)) {
    signal(sig, SIG_DFL);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, sig);
    raise(sig);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
  }
  errno = saved_errno;
}

// --- SIGSEGV in the guard below a goroutine's stack ---

static void put_text(char *to, size_t room, const char *text) {
  strncat(to, text, room - strlen(to) - 1);
}

static void on_fault(int sig, siginfo_t *info, void *context) {
  (void)context;
  gr_goroutine *g = gr_self();
  if (g && g->stack && gr_stack_is_guard(g->stack, info->si_addr)) {
    char id[24], text[200] = "goroutines: C stack overflow in goroutine ";
    int digits = 0;
    for (uint64_t n = g->id; n || !digits; n /= 10)
      id[digits++] = (char)('0' + n % 10);
    for (char *at = text + strlen(text); digits;) {
      *at++ = id[--digits];
      *at = '\0';
    }
    put_text(text, sizeof text,
             ": go.configure{ stack_size = bytes } makes stacks larger\n");
    ssize_t put = write(STDERR_FILENO, text, strlen(text));
    (void)put;
  }
  sigaction(sig, &previous[sig], NULL); // the fault happens again, to it
}

bool gr_preempt_init(void) {
  struct sigaction pipe;
  if (sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
    catch_signal(SIGPIPE, on_broken_pipe);
#ifndef GR_ASAN
  catch_signal(SIGSEGV, on_fault);
  catch_signal(SIGBUS, on_fault);
#else
  (void)on_fault;
#endif
  return gr_preempt_set_signal(SIGURG);
}
