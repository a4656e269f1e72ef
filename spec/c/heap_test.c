// SPDX-License-Identifier: MIT
// The heap gives its elements back in order, whatever is taken out between.
#include "base/heap.h"

#include "base/random.h"
#include "test.h"

enum { COUNT = 2000 };

static void check_order(gr_heap *heap) {
  uint64_t last = 0;
  gr_heap_node *first;
  while ((first = gr_heap_first(heap))) {
    CHECK(first->key >= last);
    last = first->key;
    gr_heap_remove(heap, first);
    CHECK(first->place == 0);
  }
  CHECK(heap->count == 0);
}

int main(void) {
  static gr_heap_node nodes[COUNT];
  gr_heap heap;
  gr_random random;
  gr_random_init(&random, knob("SEED", gr_now_ns() % 1000000));
  gr_heap_init(&heap);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < COUNT; i++) {
      nodes[i].key = gr_random_below(&random, 500);
      CHECK(gr_heap_push(&heap, &nodes[i]));
    }
    for (int i = 0; i < COUNT; i++)
      if (gr_random_below(&random, 3) == 0)
        gr_heap_remove(&heap, &nodes[i]);
    check_order(&heap);
  }
  gr_heap_fini(&heap);
  puts("heap: ok");
}
