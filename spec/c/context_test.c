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

static double mix(double a, int n) {
  return a * 1.0000001 + n;
}

static void count(void *arg) {
  int self = (int)(intptr_t)arg;
  double sum = self;
  for (int i = 0; i < ROUNDS; i++) {
    char block[64];
    memset(block, self, sizeof block);
    sum = mix(sum, i);
    gr_context_switch(&contexts[self], &scheduler);
    CHECK(block[0] == (char)self && block[63] == (char)self);
  }
  double expected = self;
  for (int i = 0; i < ROUNDS; i++)
    expected = mix(expected, i);
  CHECK(sum == expected);
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
    CHECK(gr_stack_is_intact(stacks[i]));
    gr_context_fini(&contexts[i]);
    gr_stack_free(stacks[i]);
  }
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
  gr_stack_set_size(256 * 1024);
  run_all();
  gr_stack_count(&all, &unguarded);
  CHECK(unguarded > 0);

  gr_stack *stack = gr_stack_new();
  while (stack && stack->guarded)
    stack = gr_stack_new();
  CHECK(stack && gr_stack_is_intact(stack));
  memset(stack->base, 1, 64);
  CHECK(!gr_stack_is_intact(stack));
  puts("context: ok");
}
