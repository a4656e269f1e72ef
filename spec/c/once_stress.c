// SPDX-License-Identifier: MIT
// Many onces, each met by several goroutines: one runs it, and all others see
// that it has.
#include "stress.h"
#include "sync/once.h"

enum { VISITS = 10 };

typedef struct place {
  gr_once *once;
  unsigned long runs; // written by the runner alone, before the end
  atomic_uint visits;
} place;

static place *places;
static unsigned long place_count;
static atomic_ulong next_turn;

static void init(void) {
  place_count = atomic_load(&stress.left) / VISITS;
  atomic_store(&stress.left, place_count * VISITS);
  places = calloc(place_count, sizeof *places);
  CHECK(places);
  for (unsigned long i = 0; i < place_count; i++)
    CHECK(places[i].once = gr_once_new());
}

static void turn(gr_random *r) {
  place *p = &places[atomic_fetch_add(&next_turn, 1) / VISITS];
  gr_status status = GR_CLOSED;
  if (!gr_once_has_ended(p->once))
    status = gr_once_begin(p->once);
  if (status == GR_OK) {
    maybe_yield(r);
    CHECK(gr_once_begin(p->once) == GR_RECURSIVE);
    p->runs++;
    gr_once_end(p->once, NULL, gr_random_below(r, 2) == 0);
  }
  CHECK(status == GR_OK || status == GR_CLOSED);
  CHECK(gr_once_has_ended(p->once) && p->runs == 1);
  if (atomic_fetch_add(&p->visits, 1) + 1 == VISITS)
    gr_object_release(p->once);
}

static void check(void) {
  free(places);
  printf("once: %lu runs: ", place_count);
}

int main(void) {
  return stress_main(1000000, init, turn, check);
}
