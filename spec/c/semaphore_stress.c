// SPDX-License-Identifier: MIT
// A semaphore: never more units out than there are, and all back at the end.
#include "stress.h"
#include "sync/semaphore.h"

enum { SIZE = 7 };

static gr_semaphore *semaphore;
static atomic_int in_use;
static atomic_ulong acquired, timeouts;

static void init(void) {
  semaphore = gr_semaphore_new(SIZE);
}

static bool acquire(gr_random *r, uint32_t units) {
  if (gr_random_below(r, 4) == 0)
    return gr_semaphore_try(semaphore, units);
  gr_status status = gr_semaphore_acquire(semaphore, units, some_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  if (status == GR_TIMEOUT)
    atomic_fetch_add(&timeouts, 1);
  return status == GR_OK;
}

static void turn(gr_random *r) {
  uint32_t units = 1 + gr_random_below(r, SIZE);
  if (!acquire(r, units))
    return;
  CHECK(atomic_fetch_add(&in_use, (int)units) + (int)units <= SIZE);
  maybe_yield(r);
  atomic_fetch_sub(&in_use, (int)units);
  if (gr_random_below(r, 2) == 0 ||
      !gr_semaphore_release_quickly(semaphore, units))
    CHECK(gr_semaphore_release(semaphore, units));
  atomic_fetch_add(&acquired, 1);
}

static void check(void) {
  CHECK(gr_semaphore_free(semaphore) == SIZE);
  CHECK(atomic_load(&semaphore->word) % 2 == 0); // no waiters
  CHECK(!gr_semaphore_release(semaphore, 1));
  gr_object_release(semaphore);
  printf("semaphore: %lu acquired, %lu timeouts: ", atomic_load(&acquired),
         atomic_load(&timeouts));
}

int main(void) {
  return stress_main(1500000, init, turn, check);
}
