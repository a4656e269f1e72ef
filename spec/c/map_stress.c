// SPDX-License-Identifier: MIT
// A map: counts under some keys go up by updates and by compare-and-swap, and
// none is lost; other keys come and go.
#include <string.h>

#include "stress.h"
#include "sync/map_table.h"

enum { COUNTS = 6, OTHERS = 200 };

static gr_map *map;
static atomic_llong counted[COUNTS];
static atomic_uint using[COUNTS];
static atomic_ulong updates, aborts, swaps;

static gr_map_key number_key(int64_t n) {
  gr_map_key key = {.scalar = {.kind = GR_MESSAGE_INTEGER, .integer = n}};
  gr_map_key_init(map, &key);
  return key;
}

// "key 17"; the text is the caller's.
static gr_map_key text_key(unsigned n, char text[20]) {
  gr_map_key key = {.scalar = {.kind = GR_MESSAGE_NIL}, .bytes = text};
  key.len = (size_t)snprintf(text, 20, "key %u", n);
  gr_map_key_init(map, &key);
  return key;
}

static gr_message number(int64_t n) {
  return (gr_message){.kind = GR_MESSAGE_INTEGER, .integer = n};
}

static int64_t number_of(const gr_message *m) {
  CHECK(m->kind == GR_MESSAGE_INTEGER || m->kind == GR_MESSAGE_NIL);
  return m->kind == GR_MESSAGE_INTEGER ? m->integer : 0;
}

static void init(void) {
  map = gr_map_new();
}

static void update(gr_random *r, unsigned i) {
  gr_map_key key = number_key(i);
  gr_map_entry *entry;
  gr_message m;
  CHECK(gr_map_begin(map, &key, &entry, &m) == GR_OK);
  CHECK(atomic_fetch_add(&using[i], 1) == 0);
  maybe_yield(r);
  gr_message unused;
  CHECK(gr_map_get(map, &key, &unused) == GR_RECURSIVE);
  CHECK(atomic_fetch_sub(&using[i], 1) == 1);
  if (gr_random_below(r, 8) == 0) {
    gr_map_abort(entry);
    atomic_fetch_add(&aborts, 1);
    return;
  }
  m = number(number_of(&m) + 1);
  atomic_fetch_add(&counted[i], 1);
  gr_map_commit(entry, &m);
  atomic_fetch_add(&updates, 1);
}

static void swap(unsigned i) {
  gr_map_key key = number_key(i), old = {.scalar = {.kind = GR_MESSAGE_NIL}};
  gr_message m;
  CHECK(gr_map_get(map, &key, &m) == GR_OK);
  CHECK(number_of(&m) <= atomic_load(&counted[i]));
  bool done;
  old.scalar = m;
  atomic_fetch_add(&counted[i], 1); // before anybody can see it
  m = number(number_of(&m) + 1);
  CHECK(gr_map_swap(map, &key, &old, &m, &done) == GR_OK);
  if (done)
    atomic_fetch_add(&swaps, 1);
  else
    atomic_fetch_sub(&counted[i], 1);
}

static void use_other(gr_random *r) {
  char text[20];
  unsigned n = gr_random_below(r, OTHERS);
  gr_map_key key = text_key(n, text);
  gr_message m = {.kind = GR_MESSAGE_NIL};
  switch (gr_random_below(r, 3)) {
  case 0:
    m = number(n);
    CHECK(gr_map_set(map, &key, &m) == GR_OK);
    break;
  case 1:
    CHECK(gr_map_set(map, &key, &m) == GR_OK);
    break;
  default:
    CHECK(gr_map_get(map, &key, &m) == GR_OK);
    break;
  }
  CHECK(m.kind == GR_MESSAGE_NIL || m.integer == n);
}

static void look_at_all(void) {
  unsigned seen = 0;
  for (unsigned i = 0; i < GR_MAP_SHARDS; i++) {
    gr_map_item *items;
    uint32_t count;
    CHECK(gr_map_items(map, i, true, &items, &count));
    for (uint32_t j = 0; j < count; j++)
      CHECK(items[j].value.kind == GR_MESSAGE_INTEGER);
    gr_map_items_free(items, 0, count);
    seen += count;
  }
  CHECK(seen <= COUNTS + OTHERS && gr_map_count(map) <= COUNTS + OTHERS);
}

static void turn(gr_random *r) {
  unsigned what = gr_random_below(r, 1000), i = gr_random_below(r, COUNTS);
  if (what < 300)
    update(r, i);
  else if (what < 600)
    swap(i);
  else if (what < 995)
    use_other(r);
  else
    look_at_all();
}

static void check(void) {
  for (unsigned i = 0; i < COUNTS; i++) {
    gr_map_key key = number_key(i);
    gr_message m;
    CHECK(gr_map_get(map, &key, &m) == GR_OK);
    CHECK(number_of(&m) == atomic_load(&counted[i]));
  }
  for (unsigned i = 0; i < COUNTS + OTHERS; i++) {
    char text[20];
    gr_map_key key = i < COUNTS ? number_key(i) : text_key(i - COUNTS, text);
    gr_message none = {.kind = GR_MESSAGE_NIL};
    CHECK(gr_map_set(map, &key, &none) == GR_OK);
  }
  CHECK(gr_map_count(map) == 0);
  for (unsigned i = 0; i < GR_MAP_SHARDS; i++)
    CHECK(map->shards[i].entries == 0 && map->shards[i].buckets <= 8);
  gr_object_release(map);
  printf("map: %lu updates, %lu aborts, %lu swaps: ", atomic_load(&updates),
         atomic_load(&aborts), atomic_load(&swaps));
}

int main(void) {
  return stress_main(1500000, init, turn, check);
}
