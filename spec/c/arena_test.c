// SPDX-License-Identifier: MIT
// Blocks of all sizes, made, resized and freed at random, keep what is in them
// and do not overlap: in an arena that grows, and in one that begins as a copy.
// What is left is freed with the arena.
#include "base/arena.h"

#include <string.h>

#include "base/random.h"
#include "test.h"

enum { BLOCKS = 500, STEPS = 200000 };

static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS];

static void check(int i) {
  for (size_t at = 0; at < sizes[i]; at++)
    CHECK(blocks[i][at] == (unsigned char)i);
}

static size_t some_size(gr_random *r) {
  return gr_random_below(r, 10) ? gr_random_below(r, 700)
                                : gr_random_below(r, 10000);
}

static void resize(gr_arena *arena, int i, size_t size) {
  blocks[i] = gr_arena_resize(arena, blocks[i], sizes[i], size);
  CHECK((blocks[i] != NULL) == (size > 0));
  CHECK((uintptr_t)blocks[i] % GR_ARENA_STEP == 0);
  if (size)
    memset(blocks[i], i, size);
  sizes[i] = size;
}

static void use(gr_arena *arena, gr_random *r, int steps) {
  for (int step = 0; step < steps; step++) {
    int i = (int)gr_random_below(r, BLOCKS);
    check(i);
    resize(arena, i, some_size(r));
  }
}

static void test_growing(gr_random *r) {
  gr_arena arena;
  gr_arena_init(&arena);
  use(&arena, r, STEPS);
  for (int i = 0; i < BLOCKS; i += 2) {
    check(i);
    gr_arena_resize(&arena, blocks[i], sizes[i], 0);
  }
  gr_arena_fini(&arena);
  memset(blocks, 0, sizeof blocks);
  memset(sizes, 0, sizeof sizes);
}

static void test_copies(gr_random *r) {
  enum { MODEL_BYTES = 1024 * 1024, MODEL_BLOCKS = 100, COPIES = 200 };
  static _Alignas(16) char memory[MODEL_BYTES];
  static unsigned char *in_model[MODEL_BLOCKS];
  static size_t in_model_sizes[MODEL_BLOCKS];
  gr_arena model, arena;
  gr_pool pool;
  gr_arena_init_fixed(&model, memory, MODEL_BYTES);
  for (int i = 0; i < MODEL_BLOCKS; i++) {
    resize(&model, i, 1 + some_size(r));
    if (i % 3 == 0)
      resize(&model, i, some_size(r) / 2); // leaves something free
    in_model[i] = blocks[i];
    in_model_sizes[i] = sizes[i];
  }
  size_t bytes = gr_arena_seal(&model);
  gr_pool_init(&pool, bytes + 4096);
  for (int copy = 0; copy < COPIES; copy++) {
    ptrdiff_t distance = gr_arena_init_copy(&arena, &model, bytes, &pool);
    CHECK(distance != 0);
    memcpy((char *)memory + distance + GR_ARENA_HEADER,
           (char *)memory + GR_ARENA_HEADER, bytes - GR_ARENA_HEADER);
    memset(blocks, 0, sizeof blocks);
    memset(sizes, 0, sizeof sizes);
    for (int i = 0; i < MODEL_BLOCKS; i++) {
      blocks[i] = in_model[i] ? in_model[i] + distance : NULL;
      sizes[i] = in_model_sizes[i];
    }
    // The links of what is free are words in the memory, which are the user's.
    memset(arena.free_blocks, 0, sizeof arena.free_blocks);
    use(&arena, r, 1000);
    gr_arena_fini(&arena);
  }
  CHECK(!gr_arena_resize(&model, NULL, 0, MODEL_BYTES));
}

int main(void) {
  gr_random r;
  gr_random_init(&r, knob("SEED", gr_now_ns() % 1000000));
  test_growing(&r);
  test_copies(&r);
  puts("arena: ok");
}
