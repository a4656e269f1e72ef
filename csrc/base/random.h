// SPDX-License-Identifier: MIT
// A small generator for scheduling choices (Marsaglia's xorshift, with a
// multiplication at the end). Not for secrets.
#ifndef GR_RANDOM_H
#define GR_RANDOM_H

#include "base/base.h"

typedef struct gr_random {
  uint64_t state; // never 0
} gr_random;

// Starts a sequence that differs for each seed.
static inline void gr_random_init(gr_random *r, uint64_t seed) {
  r->state = (seed + 1) * 0x9E3779B97F4A7C15u;
  if (r->state == 0)
    r->state = 1;
}

static inline uint64_t gr_random_next(gr_random *r) {
  uint64_t x = r->state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  r->state = x;
  return x * 0x2545F4914F6CDD1Du;
}

// A number below `bound`, which is not 0.
static inline uint32_t gr_random_below(gr_random *r, uint32_t bound) {
  return (uint32_t)(((gr_random_next(r) >> 32) * (uint64_t)bound) >> 32);
}

#endif
