// SPDX-License-Identifier: MIT
// The calendar gives its elements back in order, whatever is taken out or
// added between, whether they lie in boxes or not.
#include "base/calendar.h"

#include "base/random.h"
#include "test.h"

enum { COUNT = 20000 };

static gr_calendar_node nodes[COUNT];

static uint64_t least_of_all(const gr_calendar *c) {
  uint64_t least = UINT64_MAX;
  for (uint32_t i = 0; i < c->entries; i++) {
    const gr_calendar_node *node = gr_calendar_at(c, i);
    if (node && node->key < least)
      least = node->key;
  }
  return least;
}

// All that are in it are known by their entries, and by no others.
static void check_entries(const gr_calendar *c) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < c->entries; i++) {
    const gr_calendar_node *node = gr_calendar_at(c, i);
    CHECK(!node || node->entry == i + 1);
    count += node != NULL;
  }
  CHECK(count == c->count && c->boxed + c->heap_count == c->count);
  CHECK(gr_calendar_least(c, UINT64_MAX) == least_of_all(c));
}

// By either way in turn.
static void check_order(gr_calendar *c) {
  uint64_t last = 0;
  for (uint32_t count = c->count; count > 0; count--) {
    CHECK(c->count == count);
    uint64_t least = gr_calendar_least(c, 7);
    CHECK(least >= last);
    last = least;
    gr_calendar_node *first = gr_calendar_at(c, c->heap[0].entry);
    CHECK(first->key == least);
    if (count % 2) {
      gr_calendar_remove(c, first);
    } else {
      uint32_t entry = first->entry;
      CHECK(gr_calendar_pop(c) == first);
      CHECK(first->entry == entry && entry != 0); // not touched
      first->entry = 0;
    }
    CHECK(first->entry == 0);
  }
  CHECK(gr_calendar_least(c, 7) == 7 && c->boxed == 0);
}

static void test_at_once(gr_random *r, uint64_t range, int count) {
  gr_calendar c;
  gr_calendar_init(&c);
  for (int round = 0; round < 4; round++) {
    uint64_t from = gr_random_below(r, 1u << 30);
    for (int i = 0; i < count; i++) {
      nodes[i].key = from + gr_random_below(r, range);
      CHECK(gr_calendar_push(&c, &nodes[i]));
    }
    check_entries(&c);
    for (int i = 0; i < count; i++)
      if (gr_random_below(r, 3) == 0)
        gr_calendar_remove(&c, &nodes[i]);
    check_entries(&c);
    check_order(&c);
  }
  gr_calendar_fini(&c);
}

// Time goes on: what has come is set anew, as sleeps in a loop are, or is
// cleared before it has come, as the deadlines of waits that end earlier are.
static void test_in_time(gr_random *r, uint64_t range, int count) {
  gr_calendar c;
  uint64_t now = 1 + gr_random_below(r, 1u << 30);
  gr_calendar_init(&c);
  bool used_boxes = false;
  for (int i = 0; i < count; i++) {
    nodes[i].key = now + gr_random_below(r, range);
    CHECK(gr_calendar_push(&c, &nodes[i]));
  }
  for (int round = 0; round < 20; round++) {
    now += range / 10;
    while (gr_calendar_least(&c, UINT64_MAX) <= now) {
      gr_calendar_node *node = gr_calendar_pop(&c);
      CHECK(node->key <= now);
      node->entry = 0;
      node->key = now + 1 + gr_random_below(r, range);
      CHECK(gr_calendar_push(&c, node));
      gr_calendar_node *other = &nodes[gr_random_below(r, (uint64_t)count)];
      gr_calendar_remove(&c, other);
      other->key = now + 1 + gr_random_below(r, range);
      CHECK(gr_calendar_push(&c, other));
    }
    used_boxes |= c.boxed > 0;
    check_entries(&c);
  }
  CHECK(used_boxes == (count > 512 && range > 100000000));
  check_order(&c);
  gr_calendar_fini(&c);
}

int main(void) {
  gr_random r;
  limit_time(120);
  gr_random_init(&r, knob("SEED", gr_now_ns() % 1000000));
  static const uint64_t ranges[] = {500, 1000000000, 60000000000};
  static const int counts[] = {1, 600, 2000, COUNT};
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 4; k++) {
      test_at_once(&r, ranges[i], counts[k]);
      test_in_time(&r, ranges[i], counts[k]);
    }
  puts("calendar: ok");
}
