// SPDX-License-Identifier: MIT
// Pieces taken and given back at random, by several threads, do not overlap and
// keep what is in them; most of the memory goes back to the system when most
// of the pieces have been given back, in whatever order.
#include "base/cache.h"
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/random.h"
#include "test.h"

enum { PIECE = 5000, MAX = 30000, THREADS = 4 };

static gr_pool pool;
static unsigned long steps;

static void *take(unsigned mark) {
  char *piece = gr_pool_get(&pool);
  CHECK(piece && (uintptr_t)piece % 64 == 0);
  memcpy(piece, &mark, sizeof mark);
  memcpy(piece + PIECE - sizeof mark, &mark, sizeof mark);
  return piece;
}

static void give(char *piece, unsigned mark) {
  CHECK(memcmp(piece, &mark, sizeof mark) == 0);
  CHECK(memcmp(piece + PIECE - sizeof mark, &mark, sizeof mark) == 0);
  memset(piece, 0x5a, PIECE);
  gr_pool_put(&pool, piece);
}

// How many there are goes up and down.
static void *use(void *seed) {
  enum { MOST = MAX / THREADS };
  static _Thread_local char *pieces[MOST];
  gr_random r;
  gr_random_init(&r, *(unsigned long *)seed);
  unsigned target = 0;
  for (unsigned long i = 0, has = 0; i < steps; i++) {
    if (i % 5000 == 0)
      target = gr_random_below(&r, MOST);
    unsigned at = gr_random_below(&r, MOST);
    bool gives = has > target;
    while (!pieces[at] == gives)
      at = (at + 1) % MOST;
    if (gives)
      give(pieces[at], at);
    pieces[at] = gives ? NULL : take(at);
    has = gives ? has - 1 : has + 1;
  }
  for (unsigned at = 0; at < MOST; at++)
    if (pieces[at])
      give(pieces[at], at);
  return NULL;
}

static atomic_bool is_done;

// What the monitor does, without its pauses.
static void *cool(void *unused) {
  (void)unused;
  while (!atomic_load(&is_done))
    gr_pool_cool();
  return NULL;
}

static void test_threads(unsigned long seed) {
  pthread_t threads[THREADS], monitor;
  unsigned long seeds[THREADS];
  for (int i = 0; i < THREADS; i++) {
    seeds[i] = seed + (unsigned long)i;
    CHECK(pthread_create(&threads[i], NULL, use, &seeds[i]) == 0);
  }
  CHECK(pthread_create(&monitor, NULL, cool, NULL) == 0);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  atomic_store(&is_done, true);
  CHECK(pthread_join(monitor, NULL) == 0);
  CHECK(pool.used == 0);
  CHECK(pool.warm_count * pool.piece_bytes < 80 * 1024 * 1024);
}

// The thread sanitizer's own memory is counted, too.
static size_t resident(void) {
#ifdef GR_TSAN
  return 0;
#else
  size_t pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file && fscanf(file, "%*u %zu", &pages) == 1);
  fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
#endif
}

// One in 100 stays: hardly any slab is free as a whole.
static void test_memory(gr_random *r) {
  static char *pieces[MAX];
  size_t before = resident();
  for (unsigned i = 0; i < MAX; i++) {
    pieces[i] = take(i);
    memset(pieces[i] + sizeof i, 1, PIECE - 2 * sizeof i);
  }
  for (unsigned i = 0; i < MAX * 100; i++) {
    unsigned at = i < MAX * 10 ? gr_random_below(r, MAX) : i % MAX;
    if (at % 100 && pieces[at]) {
      give(pieces[at], at);
      pieces[at] = NULL;
    }
  }
  while (gr_pool_is_any_too_warm())
    gr_pool_cool();
  CHECK(resident() < before + 100 * 1024 * 1024);
  CHECK(pool.used == MAX / 100);
  for (unsigned i = 0; i < MAX; i += 100) // they are used again
    for (unsigned j = 1; j < 50; j++)
      pieces[i + j] = take(i + j);
  for (unsigned i = 0; i < MAX; i++)
    if (pieces[i])
      give(pieces[i], i);
  CHECK(pool.used == 0 && resident() < before + 100 * 1024 * 1024);
}

// One that is longer than a slab is one of its own.
static void test_large(void) {
  gr_pool large;
  gr_pool_init(&large, 5 * 1024 * 1024);
  char *pieces[40];
  for (int i = 0; i < 40; i++) {
    pieces[i] = gr_pool_get(&large);
    CHECK(pieces[i]);
    memset(pieces[i], i, 5 * 1024 * 1024);
  }
  for (int i = 0; i < 40; i++) {
    CHECK(pieces[i][5 * 1024 * 1024 - 1] == i);
    gr_pool_put(&large, pieces[i]);
  }
  CHECK(large.used == 0);
}

enum { CACHED = 100, KEPT = 24, OBJECTS = 60 };
static gr_cache cache = GR_CACHE(GR_SHELF_TASKS, CACHED, KEPT);

// What is used again is zeroed, and no more is kept than is allowed.
static void use_cache(void) {
  unsigned char *objects[OBJECTS];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < OBJECTS; i++) {
      objects[i] = gr_cache_get_zeroed(&cache);
      CHECK(objects[i]);
      for (int k = 0; k < CACHED; k++)
        CHECK(objects[i][k] == 0);
      memset(objects[i], i + 1, CACHED);
    }
    for (int i = 0; i < OBJECTS; i++) {
      CHECK(objects[i][CACHED - 1] == i + 1);
      gr_cache_put(&cache, objects[i]);
    }
    CHECK(cache.count <= KEPT);
  }
}

// The one thread makes objects, this one checks and frees them.
static struct {
  gr_lock lock;
  unsigned count;
  bool is_over;
  unsigned char *objects[OBJECTS];
} passed = {.lock = GR_LOCK_STATIC(GR_RANK_TASK)};

static void *free_all(void *unused) {
  gr_count(GR_COUNT_BLOCKS, 1); // has a shelf
  for (bool is_over = false; !is_over;) {
    gr_lock_lock(&passed.lock);
    unsigned char *object =
        passed.count > 0 ? passed.objects[--passed.count] : NULL;
    is_over = !object && passed.is_over;
    gr_lock_unlock(&passed.lock);
    for (int k = 1; object && k < CACHED; k++)
      CHECK(object[k] == object[0]);
    if (object)
      gr_cache_put(&cache, object);
    else
      sched_yield();
  }
  gr_count(GR_COUNT_BLOCKS, -1);
  return unused;
}

static void pass(unsigned char *object) {
  for (bool is_passed = false; !is_passed;) {
    gr_lock_lock(&passed.lock);
    is_passed = passed.count < OBJECTS;
    if (is_passed)
      passed.objects[passed.count++] = object;
    gr_lock_unlock(&passed.lock);
    if (!is_passed)
      sched_yield();
  }
}

static void test_cache(void) {
  pthread_t thread;
  use_cache();
  gr_count(GR_COUNT_BLOCKS, 1);
  use_cache();
  CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
  for (unsigned i = 0; i < steps; i++) {
    unsigned char *object = gr_cache_get(&cache);
    CHECK(object);
    memset(object, (int)(i % 256), CACHED);
    pass(object);
  }
  gr_lock_lock(&passed.lock);
  passed.is_over = true;
  gr_lock_unlock(&passed.lock);
  CHECK(pthread_join(thread, NULL) == 0);
  use_cache();
  gr_count(GR_COUNT_BLOCKS, -1);
}

int main(void) {
  limit_time(60);
  unsigned long seed = knob("SEED", gr_now_ns() % 1000000);
  steps = knob("SCALE", 200000);
  gr_random r;
  gr_random_init(&r, seed);
  gr_pool_init(&pool, PIECE);
  test_memory(&r);
  test_threads(seed);
  test_large();
  test_cache();
  puts("pool: ok");
}
