// SPDX-License-Identifier: MIT
// Blocks of all sizes, made, resized and freed at random, keep what is in them
// and do not overlap.
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

int main(void) {
  gr_arena arena;
  gr_random r;
  gr_random_init(&r, knob("SEED", gr_now_ns() % 1000000));
  gr_arena_init(&arena);
  for (int step = 0; step < STEPS; step++) {
    int i = (int)gr_random_below(&r, BLOCKS);
    size_t size = some_size(&r);
    check(i);
    blocks[i] = gr_arena_resize(&arena, blocks[i], sizes[i], size);
    CHECK((blocks[i] != NULL) == (size > 0));
    CHECK((uintptr_t)blocks[i] % GR_ARENA_STEP == 0);
    if (size)
      memset(blocks[i], i, size);
    sizes[i] = size;
  }
  for (int i = 0; i < BLOCKS; i++) {
    check(i);
    gr_arena_resize(&arena, blocks[i], sizes[i], 0);
  }
  gr_arena_fini(&arena);
  puts("arena: ok");
}
