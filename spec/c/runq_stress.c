// SPDX-License-Identifier: MIT
// An owner fills and empties its queue while thieves steal: each element is
// taken exactly once.
#include <pthread.h>

#include "sched/runq.h"
#include "test.h"

enum { THIEVES_MAX = 16 };

static gr_runq queue;
static atomic_uint *taken;
static atomic_bool finished;
static unsigned long count;

static void take(gr_goroutine *g) {
  size_t i = (size_t)(uintptr_t)g - 1;
  CHECK(atomic_fetch_add(&taken[i], 1) == 0);
}

static void *steal(void *unused) {
  (void)unused;
  static __thread gr_runq own;
  gr_runq_init(&own);
  while (!atomic_load(&finished)) {
    gr_goroutine *g = gr_runq_steal(&own, &queue);
    for (; g; g = gr_runq_pop(&own))
      take(g);
    g = atomic_load(&queue.next);
    if (g && gr_runq_steal_next(&queue, g))
      take(g);
  }
  return NULL;
}

static void push(gr_goroutine *g) {
  while (!gr_runq_push(&queue, g)) {
    gr_goroutine *oldest = gr_runq_pop(&queue);
    if (oldest)
      take(oldest);
  }
}

int main(void) {
  pthread_t threads[THIEVES_MAX];
  unsigned long thieves = knob("THREADS", 3);
  count = knob("SCALE", 2000000);
  limit_time(120);
  CHECK(thieves <= THIEVES_MAX);
  taken = calloc(count, sizeof *taken);
  gr_runq_init(&queue);
  for (unsigned long i = 0; i < thieves; i++)
    CHECK(pthread_create(&threads[i], NULL, steal, NULL) == 0);
  for (unsigned long i = 1; i <= count; i++) {
    gr_goroutine *g = (gr_goroutine *)(uintptr_t)i;
    if (i % 3) {
      push(g);
    } else {
      gr_goroutine *displaced = gr_runq_set_next(&queue, g);
      if (displaced)
        push(displaced);
    }
    if (i % 5 == 0 && (g = gr_runq_pop(&queue)))
      take(g);
  }
  gr_goroutine *g = gr_runq_pop_next(&queue);
  if (g)
    take(g);
  while ((g = gr_runq_pop(&queue)))
    take(g);
  atomic_store(&finished, true);
  for (unsigned long i = 0; i < thieves; i++)
    pthread_join(threads[i], NULL);
  for (unsigned long i = 0; i < count; i++)
    CHECK(atomic_load(&taken[i]) == 1);
  free(taken);
  puts("runq: ok");
}
