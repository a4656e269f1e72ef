// SPDX-License-Identifier: MIT
// Contexts keep what is on their stacks and in their registers; stacks come
// back, with and without guards; an overrun of one without a guard is found.
#include "sched/context.h"

#include <string.h>

#include "sched/stack.h"
#include "test.h"

enum { CONTEXTS = 50, ROUNDS = 1000 };

static gr_context scheduler, contexts[CONTEXTS];
static int current, finished;

// Where the rounds are run once without switching, to compare with.
static const int ALONE = -1;

// More values are alive across the switch than there are callee-saved
// registers, of both kinds, so that each of these is in use.
static double mix(int seed, int self) {
  uint64_t a = (uint64_t)seed, b = a + 1, c = a + 2, d = a + 3, e = a + 4,
           f = a + 5, g = a + 6, h = a + 7, i = a + 8, j = a + 9, k = a + 10;
  double p = seed, q = p + 1, r = p + 2, s = p + 3, t = p + 4, u = p + 5,
         v = p + 6, w = p + 7, x = p + 8;
  for (int round = 0; round < ROUNDS; round++) {
    a += b, b ^= c, c += d, d ^= e, e += f, f ^= g;
    g += h, h ^= i, i += j, j ^= k, k += a;
    p += q, q -= r, r += s / 2, s -= t, t += u / 2, u -= v;
    v += w / 2, w -= x / 2, x += (double)(a & 255) - p / 4;
    if (self != ALONE)
      gr_context_switch(&contexts[self], &scheduler);
  }
  return p + q + r + s + t + u + v + w + x +
         (double)(a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k);
}

static void count(void *arg) {
  int self = (int)(intptr_t)arg;
  char block[64];
  memset(block, self, sizeof block);
  double sum = mix(self, self), expected = mix(self, ALONE);
  CHECK(memcmp(&sum, &expected, sizeof sum) == 0);
  CHECK(block[0] == (char)self && block[63] == (char)self);
  finished++;
  current = -1;
  gr_context_leave(&contexts[self], &scheduler);
}

static void run_all(void) {
  gr_stack *stacks[CONTEXTS];
  bool done[CONTEXTS] = {false};
  finished = 0;
  for (int i = 0; i < CONTEXTS; i++) {
    stacks[i] = gr_stack_new();
    CHECK(stacks[i]);
    gr_context_init(&contexts[i], stacks[i]->base,
                    (size_t)((char *)stacks[i] - stacks[i]->base), count,
                    (void *)(intptr_t)i);
  }
  while (finished < CONTEXTS)
    for (int i = 0; i < CONTEXTS; i++) {
      if (done[i])
        continue;
      current = i;
      gr_context_switch(&scheduler, &contexts[i]);
      done[i] = current < 0;
    }
  for (int i = 0; i < CONTEXTS; i++) {
    CHECK(gr_stack_is_intact(gr_stack_watched(stacks[i])));
    gr_context_fini(&contexts[i]);
    gr_stack_free(stacks[i]);
  }
}

// So many are there when they are taken, also of a size that was set meanwhile.
static void reserve_and_take(size_t size) {
  enum { COUNT = 100, GIVEN_UP = 30 };
  gr_stack *taken[COUNT];
  for (int i = 0; i < COUNT; i++)
    CHECK(gr_stack_reserve());
  for (int i = 0; i < GIVEN_UP; i++)
    gr_stack_unreserve();
  CHECK(gr_stack_set_size(size));
  for (int i = 0; i < COUNT - GIVEN_UP; i++) {
    taken[i] = gr_stack_take();
    CHECK(taken[i] && taken[i]->size == size);
    memset((char *)taken[i] - 4096, i + 1, 4096);
  }
  for (int i = 0; i < COUNT - GIVEN_UP; i++) {
    CHECK(((char *)taken[i])[-1] == i + 1);
    gr_stack_free(taken[i]);
  }
  // The one that was given back last is the warmest.
  CHECK(gr_stack_reserve());
  CHECK(gr_stack_take() == taken[COUNT - GIVEN_UP - 1]);
  gr_stack_free(taken[COUNT - GIVEN_UP - 1]);
}

int main(void) {
  limit_time(60);
  gr_context_init_thread(&scheduler);
  run_all();
  run_all(); // on stacks that were used before

  uint32_t all, unguarded;
  gr_stack_count(&all, &unguarded);
  CHECK(unguarded == 0);
  gr_stack_limit_guards(10, true); // an older kernel, and few mappings left
  CHECK(gr_stack_set_size(256 * 1024));
  run_all();
  reserve_and_take(gr_stack_get_size());
  reserve_and_take(512 * 1024);
  reserve_and_take(1024 * 1024);
  gr_stack_count(&all, &unguarded);
  CHECK(unguarded > 0);

  gr_stack *stack = gr_stack_new();
  while (stack && stack->guarded)
    stack = gr_stack_new();
  CHECK(stack && gr_stack_is_intact(gr_stack_watched(stack)));
  memset(stack->base, 1, 64);
  CHECK(!gr_stack_is_intact(gr_stack_watched(stack)));
  puts("context: ok");
}
