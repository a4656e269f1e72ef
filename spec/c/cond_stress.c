// SPDX-License-Identifier: MIT
// Condition variables: a buffer with room for a few, put into and taken from by
// waiting for two conditions. One signal an item: if one were lost, somebody
// would wait for ever.
#include "stress.h"
#include "sync/cond.h"

enum { ROOM = 3 };

static gr_mutex *mutex;
static gr_cond *not_full, *not_empty;
static unsigned count; // guarded by the mutex, as are the next two
static unsigned long put_count, taken;
static atomic_ulong timeouts;

static void init(void) {
  mutex = gr_mutex_new();
  not_full = gr_cond_new(mutex);
  not_empty = gr_cond_new(mutex);
}

static void wait_on(gr_random *r, gr_cond *c) {
  // The last goroutines have nobody to wait for.
  gr_status status = gr_cond_wait(c, short_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  CHECK(gr_mutex_holder(mutex) == gr_self()->id);
  if (status == GR_TIMEOUT)
    atomic_fetch_add(&timeouts, 1);
}

static void tell(gr_random *r, gr_cond *c) {
  if (gr_random_below(r, 8) == 0)
    gr_cond_broadcast(c);
  else
    gr_cond_signal(c);
}

static void turn(gr_random *r) {
  bool puts = gr_random_below(r, 2) == 0;
  CHECK(gr_mutex_lock(mutex, GR_NEVER) == GR_OK);
  if (puts && count == ROOM)
    wait_on(r, not_full);
  if (!puts && count == 0)
    wait_on(r, not_empty);
  maybe_yield(r);
  if (puts && count < ROOM) {
    count++;
    put_count++;
    tell(r, not_empty);
  } else if (!puts && count > 0) {
    count--;
    taken++;
    tell(r, not_full);
  }
  CHECK(count <= ROOM);
  CHECK(gr_mutex_unlock(mutex));
}

static void check(void) {
  CHECK(put_count == taken + count);
  CHECK(atomic_load(&mutex->word) == 0);
  gr_object_release(mutex);
  gr_object_release(not_full);
  gr_object_release(not_empty);
  printf("cond: %lu put, %lu timeouts: ", put_count, atomic_load(&timeouts));
}

int main(void) {
  return stress_main(1000000, init, turn, check);
}
