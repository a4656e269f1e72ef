// SPDX-License-Identifier: MIT
// What threads have counted stays counted when they end, also what they count
// while they do.
#include "base/thread.h"

#include <pthread.h>

#include "test.h"

enum { THREADS = 8, ROUNDS = 200, TIMES = 1000 };

static pthread_key_t late;

static void count_late(void *unused) {
  (void)unused;
  gr_count(GR_COUNT_BLOCKS, 1); // the thread may have given up its part
}

static void *count(void *unused) {
  (void)unused;
  CHECK(pthread_setspecific(late, &late) == 0);
  for (int i = 0; i < TIMES; i++) {
    gr_count(GR_COUNT_BLOCKS, 2);
    gr_count(GR_COUNT_HANDLES, 1);
    gr_count(GR_COUNT_BLOCKS, -2);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  limit_time(60);
  CHECK(pthread_key_create(&late, count_late) == 0);
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < THREADS; i++)
      CHECK(pthread_create(&threads[i], NULL, count, NULL) == 0);
    CHECK(gr_count_sum(GR_COUNT_HANDLES) >= round * THREADS * TIMES);
    for (int i = 0; i < THREADS; i++)
      CHECK(pthread_join(threads[i], NULL) == 0);
    unsigned ended = (round + 1) * THREADS;
    CHECK(gr_count_sum(GR_COUNT_HANDLES) == ended * TIMES);
    CHECK(gr_count_sum(GR_COUNT_BLOCKS) == ended);
  }
  gr_count(GR_COUNT_BLOCKS, -1); // of others
  CHECK(gr_count_sum(GR_COUNT_BLOCKS) == THREADS * ROUNDS - 1);
  puts("thread: ok");
}
