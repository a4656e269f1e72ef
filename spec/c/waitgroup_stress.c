// SPDX-License-Identifier: MIT
// Wait groups: goroutines add to one and count it down again, while others wait
// for it; and they meet at many others, each counted down so many times, where
// who goes on finds that all have come.
#include "stress.h"
#include "sync/waitgroup.h"

enum { ROUND = 8 };

typedef struct round {
  gr_waitgroup *group;
  atomic_uint came, left;
} round_state;

static gr_waitgroup *busy; // added to and counted down all the time
static round_state *rounds;
static unsigned long round_count;
static atomic_ulong next_turn, waited, timeouts;

static void init(void) {
  round_count = atomic_load(&stress.left) / ROUND;
  atomic_store(&stress.left, round_count * ROUND);
  rounds = calloc(round_count, sizeof *rounds);
  CHECK(rounds);
  for (unsigned long i = 0; i < round_count; i++)
    CHECK(rounds[i].group = gr_waitgroup_new(ROUND));
  busy = gr_waitgroup_new(0);
}

static void add_to_busy(gr_random *r) {
  int64_t n = 1 + gr_random_below(r, 3);
  CHECK(gr_waitgroup_add(busy, n));
  maybe_yield(r);
  for (; n > 0; n--)
    CHECK(gr_waitgroup_add(busy, -1));
}

static void wait_for_busy(gr_random *r) {
  gr_status status = gr_waitgroup_wait(busy, some_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  atomic_fetch_add(status == GR_OK ? &waited : &timeouts, 1);
}

static void wait_for_round(gr_random *r, round_state *round) {
  // Whoever has begun the last rounds may be the only one left to end them, so
  // that not all may wait for ever.
  gr_status status = gr_waitgroup_wait(round->group, short_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  if (status == GR_OK)
    CHECK(atomic_load(&round->came) == ROUND);
}

static void turn(gr_random *r) {
  round_state *round = &rounds[atomic_fetch_add(&next_turn, 1) / ROUND];
  add_to_busy(r);
  wait_for_busy(r);
  atomic_fetch_add(&round->came, 1);
  CHECK(gr_waitgroup_add(round->group, -1));
  wait_for_round(r, round);
  if (atomic_fetch_add(&round->left, 1) + 1 == ROUND) {
    CHECK(gr_waitgroup_wait(round->group, GR_NEVER) == GR_OK);
    CHECK(!gr_waitgroup_add(round->group, -1)); // it would be negative
    gr_object_release(round->group);
  }
}

static void check(void) {
  CHECK(atomic_load(&busy->word) == 0);
  gr_object_release(busy);
  free(rounds);
  printf("waitgroup: %lu waited, %lu timeouts: ", atomic_load(&waited),
         atomic_load(&timeouts));
}

int main(void) {
  return stress_main(400000, init, turn, check);
}
