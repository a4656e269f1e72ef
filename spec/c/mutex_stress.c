// SPDX-License-Identifier: MIT
// A mutex: never two inside, and whoever has got it was counted.
#include "stress.h"
#include "sync/mutex.h"

static gr_mutex *mutex;
static gr_goroutine *inside; // guarded by the mutex, as is `entered`
static unsigned long entered;
static atomic_ulong locked, timeouts;

static void init(void) {
  mutex = gr_mutex_new();
}

static bool lock(gr_random *r) {
  switch (gr_random_below(r, 4)) {
  case 0:
    return gr_mutex_take_quickly(mutex, gr_self());
  case 1:
    return gr_mutex_try(mutex, gr_self());
  default:
    break;
  }
  gr_status status = gr_mutex_lock(mutex, some_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  if (status == GR_TIMEOUT)
    atomic_fetch_add(&timeouts, 1);
  return status == GR_OK;
}

static void unlock(gr_random *r) {
  gr_goroutine *g = gr_self();
  if (gr_random_below(r, 2) == 0 && gr_mutex_drop_quickly(mutex, g))
    return;
  CHECK(gr_mutex_unlock(mutex));
}

static void turn(gr_random *r) {
  gr_goroutine *g = gr_self();
  if (!lock(r)) {
    CHECK(!gr_mutex_unlock(mutex)); // it is not ours
    return;
  }
  CHECK(!inside && gr_mutex_holder(mutex) == g->id);
  inside = g;
  entered++;
  maybe_yield(r);
  CHECK(inside == g && g->held == 1);
  inside = NULL;
  unlock(r);
  atomic_fetch_add(&locked, 1);
}

static void check(void) {
  CHECK(entered == atomic_load(&locked));
  CHECK(atomic_load(&mutex->word) == 0);
  gr_object_release(mutex);
  printf("mutex: %lu locked, %lu timeouts: ", entered, atomic_load(&timeouts));
}

int main(void) {
  return stress_main(2000000, init, turn, check);
}
