// SPDX-License-Identifier: MIT
// Requests from many threads to a loop that sleeps, runs and is woken: each is
// run exactly once, under the token, and none waits for ever.
#include "sched/loop.h"

#include <pthread.h>

#include "test.h"

enum { THREADS_MAX = 16 };

typedef struct counted {
  gr_loop_request request;
  atomic_uint ran;
} counted;

static gr_loop loop;
static atomic_bool inside;
static atomic_ulong ran;
static unsigned long per_thread;

static void run(gr_loop *l, gr_loop_request *request) {
  CHECK(l == &loop);
  CHECK(!atomic_exchange(&inside, true));
  counted *c = (counted *)request;
  CHECK(atomic_fetch_add(&c->ran, 1) == 0);
  atomic_fetch_add(&ran, 1);
  atomic_store(&inside, false);
}

static void *submit(void *arg) {
  counted *all = arg;
  for (unsigned long i = 0; i < per_thread; i++) {
    all[i].request.run = run;
    gr_loop_submit(&loop, &all[i].request);
  }
  return NULL;
}

static void check_deadlines(void) {
  for (int i = 0; i < 20; i++) {
    uint64_t deadline_ns = gr_now_ns() + 1500000;
    while (gr_now_ns() < deadline_ns)
      gr_loop_run(&loop, deadline_ns);
    CHECK(gr_now_ns() - deadline_ns < 500000000);
  }
  gr_loop_wake(&loop);
  gr_loop_run(&loop, GR_NEVER); // a wake is not lost before the sleep
  gr_loop_run(&loop, GR_POLL);
}

int main(void) {
  pthread_t threads[THREADS_MAX];
  counted *all[THREADS_MAX];
  unsigned long count = knob("THREADS", 4);
  per_thread = knob("SCALE", 50000);
  limit_time(120);
  CHECK(count <= THREADS_MAX);
  CHECK(gr_loop_init(&loop) == 0);
  check_deadlines();
  for (unsigned long i = 0; i < count; i++) {
    all[i] = calloc(per_thread, sizeof **all);
    CHECK(pthread_create(&threads[i], NULL, submit, all[i]) == 0);
  }
  while (atomic_load(&ran) < count * per_thread)
    gr_loop_run(&loop, gr_now_ns() + 1000000000);
  for (unsigned long i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
    free(all[i]);
  }
  gr_loop_fini(&loop);
  puts("loop: ok");
}
