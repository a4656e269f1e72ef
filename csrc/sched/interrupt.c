// SPDX-License-Identifier: MIT
#include "sched/interrupt.h"

#include <lua.h>
#include <signal.h>

#include "sched/monitor.h"
#include "sched/sched.h"

atomic_bool gr_interrupts_taken;

static gr_loop_request follow_request;
static atomic_bool follows; // that one is queued

static struct sigaction host_interrupt;

static void on_interrupt(int sig, siginfo_t *info, void *context) {
  if (host_interrupt.sa_flags & SA_SIGINFO)
    host_interrupt.sa_sigaction(sig, info, context);
  else
    host_interrupt.sa_handler(sig);
  gr_monitor_kick();
}

// Lets the host's handler of Ctrl-C wake us as well. The stock interpreter sets
// its handler anew for each chunk that it runs. Under the token of the
// monitor's loop, as all else that catches signals.
static void follow_interrupts(gr_loop *loop, gr_loop_request *request) {
  (void)loop, (void)request;
  atomic_store(&follows, false);
  if (atomic_load(&gr_interrupts_taken))
    return;
  struct sigaction now, ours = {.sa_sigaction = on_interrupt,
                                .sa_flags = SA_SIGINFO | SA_RESTART};
  sigemptyset(&ours.sa_mask);
  if (sigaction(SIGINT, NULL, &now) != 0)
    return;
  if (now.sa_flags & SA_SIGINFO) {
    if (now.sa_sigaction == on_interrupt)
      return;
  } else if (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) {
    return;
  }
  host_interrupt = now;
  sigaction(SIGINT, &ours, NULL);
}

void gr_interrupts_follow(void) {
  if (atomic_exchange(&follows, true))
    return; // still to be run by whoever holds the token
  follow_request.run = follow_interrupts;
  gr_loop_submit(gr_monitor_loop(), &follow_request);
}

// A main whose hook has changed while it waits was interrupted by its host.
static gr_goroutine *find_interrupted_locked(void) {
  gr_sched *s = &gr_the_sched;
  for (gr_link *at = s->workers.head.next; at != &s->workers.head;
       at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_worker, all)->main;
    if (!g)
      continue;
    unsigned word = atomic_load(&g->claim);
    if ((word & GR_CLAIM_MASK) == GR_CLAIM_OPEN &&
        atomic_load(&g->status) == GR_WAITING &&
        (uintptr_t)lua_gethook(g->L) != atomic_load(&g->hook_at_park) &&
        gr_wait_claim(g, word, GR_CLAIM_INTERRUPT))
      return g;
  }
  return NULL;
}

void gr_interrupts_end_waits(void) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_goroutine *g = find_interrupted_locked();
  gr_lock_unlock(&gr_the_sched.lock);
  if (g)
    gr_ready_woken(g);
}
