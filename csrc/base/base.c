// SPDX-License-Identifier: MIT
// Assertions and the clock.
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

atomic_bool gr_was_forked;

void gr_assert_failed(const char *cond, const char *file, int line) {
  fprintf(stderr, "goroutines: broken invariant: %s (%s:%d)\n", cond, file,
          line);
  abort();
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec ts;
  clock_gettime(clock, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t gr_now_ns(void) {
  return read_clock(CLOCK_MONOTONIC);
}

uint64_t gr_thread_cpu_ns(void) {
  return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
