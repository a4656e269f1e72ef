// SPDX-License-Identifier: MIT
// What the stress tests of the objects in csrc/sync share: goroutines without
// Lua that take turns at random until there have been enough.
#ifndef GR_STRESS_H
#define GR_STRESS_H

#include <lauxlib.h>

#include "base/random.h"
#include "sched/runtime.h"
#include "sched/sched.h"
#include "sync/object.h"
#include "test.h"

static struct {
  void (*turn)(gr_random *r);
  atomic_ulong left;
  atomic_uint alive;
} stress;

// Polls, or waits for a short time, or for ever.
static inline uint64_t some_deadline(gr_random *r) {
  switch (gr_random_below(r, 8)) {
  case 0:
    return GR_POLL;
  case 1:
  case 2:
    return gr_now_ns() + gr_random_below(r, 20000);
  case 3:
    return gr_now_ns() + gr_random_below(r, 1000000);
  default:
    return GR_NEVER;
  }
}

// The same without for ever.
static inline uint64_t short_deadline(gr_random *r) {
  uint64_t deadline_ns = some_deadline(r);
  return deadline_ns == GR_NEVER ? gr_now_ns() + 100000 : deadline_ns;
}

// Lets others run, now and then.
static inline void maybe_yield(gr_random *r) {
  if (gr_random_below(r, 4) == 0)
    gr_yield();
}

static inline bool stress_take_turn(void) {
  unsigned long n = atomic_load(&stress.left);
  while (n > 0)
    if (atomic_compare_exchange_weak(&stress.left, &n, n - 1))
      return true;
  return false;
}

static void stress_commit_end(gr_goroutine *g, void *arg) {
  (void)arg;
  atomic_fetch_sub(&stress.alive, 1);
  gr_goroutine_free(g);
}

static void stress_live(gr_goroutine *g) {
  gr_random r;
  gr_random_init(&r, (uint64_t)(uintptr_t)g->owner);
  g->owner = NULL;
  while (stress_take_turn()) {
    stress.turn(&r);
    gr_leave();
    gr_enter();
  }
  CHECK(g->held == 0);
  gr_finish(stress_commit_end, NULL);
}

// Makes the object(s) by `init`, has goroutines take turns, and then calls
// `check`, which frees. PROCS, THREADS (goroutines), SEED and SCALE (turns) in
// the environment.
static inline int stress_main(unsigned long turns, void (*init)(void),
                              void (*turn)(gr_random *r), void (*check)(void)) {
  unsigned long procs = knob("PROCS", 4), goroutines = knob("THREADS", 40);
  unsigned long seed = knob("SEED", gr_now_ns() % 1000000);
  atomic_store(&stress.left, knob("SCALE", turns));
  fflush(stdout);
  limit_time(300);
  lua_State *L = luaL_newstate();
  CHECK(!gr_runtime_start() && gr_runtime_join(L));
  stress.turn = turn;
  init();
  gr_enter();
  CHECK(gr_set_procs((uint32_t)procs));
  atomic_store(&stress.alive, (unsigned)goroutines);
  for (unsigned long i = 0; i < goroutines; i++)
    gr_start(gr_goroutine_new(stress_live, (void *)(uintptr_t)(seed * 1000 + i),
                              gr_family_self()));
  CHECK(gr_wait_for_others());
  CHECK(atomic_load(&stress.alive) == 0);
  check();
  while (gr_object_count() > 0) // the monitor may hold what it has just fired
    gr_yield();
  gr_leave();
  printf("ok\n");
  fflush(stdout);
  gr_runtime_stop();
  lua_close(L);
  return 0;
}

#endif
