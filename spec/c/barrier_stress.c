// SPDX-License-Identifier: MIT
// A barrier: whoever goes on does so with exactly so many others.
#include "stress.h"
#include "sync/barrier.h"

enum { SIZE = 5 };

static gr_barrier *barrier;
static atomic_ulong came, passed, left;

static void init(void) {
  barrier = gr_barrier_new(SIZE);
}

static void turn(gr_random *r) {
  atomic_fetch_add(&came, 1);
  gr_status status = gr_barrier_wait(barrier, short_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  atomic_fetch_add(status == GR_OK ? &passed : &left, 1);
  maybe_yield(r);
}

static void check(void) {
  CHECK(atomic_load(&passed) % SIZE == 0 && atomic_load(&passed) > 0);
  CHECK(atomic_load(&passed) + atomic_load(&left) == atomic_load(&came));
  CHECK(gr_barrier_count(barrier) == 0);
  gr_object_release(barrier);
  printf("barrier: %lu passed, %lu left: ", atomic_load(&passed),
         atomic_load(&left));
}

int main(void) {
  return stress_main(400000, init, turn, check);
}
