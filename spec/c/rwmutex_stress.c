// SPDX-License-Identifier: MIT
// A lock for readers and writers: a writer is alone, and readers see what it
// has left.
#include "stress.h"
#include "sync/rwmutex.h"

static gr_rwmutex *rw;
static unsigned long a, b; // equal, but while a writer is inside
static atomic_int readers, writers, readers_max;
static atomic_ulong written, read_count;

static void init(void) {
  rw = gr_rwmutex_new();
}

static bool lock(gr_random *r, bool writes) {
  if (gr_random_below(r, 4) == 0)
    return writes ? gr_rwmutex_try_write(rw, gr_self())
                  : gr_rwmutex_try_read(rw);
  gr_status status = writes ? gr_rwmutex_write(rw, some_deadline(r))
                            : gr_rwmutex_read(rw, some_deadline(r));
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  return status == GR_OK;
}

static void write_one(gr_random *r) {
  if (!lock(r, true)) {
    CHECK(!gr_rwmutex_unwrite(rw)); // it is not ours
    return;
  }
  CHECK(atomic_fetch_add(&writers, 1) == 0 && atomic_load(&readers) == 0);
  CHECK(gr_rwmutex_writer(rw) == gr_self()->id);
  a++;
  maybe_yield(r);
  b++;
  CHECK(atomic_fetch_sub(&writers, 1) == 1 && atomic_load(&readers) == 0);
  CHECK(gr_rwmutex_unwrite(rw));
  atomic_fetch_add(&written, 1);
}

static void read_one(gr_random *r) {
  if (!lock(r, false))
    return;
  int count = atomic_fetch_add(&readers, 1) + 1;
  if (count > atomic_load(&readers_max))
    atomic_store(&readers_max, count);
  CHECK(atomic_load(&writers) == 0 && a == b);
  maybe_yield(r);
  CHECK(atomic_load(&writers) == 0 && a == b);
  atomic_fetch_sub(&readers, 1);
  if (gr_random_below(r, 2) != 0 || !gr_rwmutex_unread_quickly(rw))
    CHECK(gr_rwmutex_unread(rw));
  atomic_fetch_add(&read_count, 1);
}

static void turn(gr_random *r) {
  if (gr_random_below(r, 4) == 0)
    write_one(r);
  else
    read_one(r);
}

static void check(void) {
  CHECK(a == b && a == atomic_load(&written));
  CHECK(atomic_load(&rw->word) == 0);
  CHECK(!gr_rwmutex_unread(rw) && !gr_rwmutex_unwrite(rw));
  CHECK(atomic_load(&readers_max) > 1);
  gr_object_release(rw);
  printf("rwmutex: %lu written, %lu read: ", a, atomic_load(&read_count));
}

int main(void) {
  return stress_main(1500000, init, turn, check);
}
