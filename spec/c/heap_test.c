// SPDX-License-Identifier: MIT
// The heap gives its elements back in order, whatever is taken out between.
#include "base/heap.h"

#include "base/random.h"
#include "test.h"

enum { COUNT = 2000 };

// By either way in turn.
static void check_order(gr_heap *heap) {
  uint64_t last = 0;
  for (uint32_t count = heap->count; count > 0; count--) {
    CHECK(heap->count == count);
    gr_heap_node *first = gr_heap_at(heap, 0);
    CHECK(first->key == gr_heap_least(heap, 7) && first->key >= last);
    last = first->key;
    if (count % 2) {
      gr_heap_remove(heap, first);
    } else {
      uint32_t entry = first->entry;
      CHECK(gr_heap_pop(heap) == first);
      CHECK(first->entry == entry && entry != 0); // not touched
      first->entry = 0;
    }
    CHECK(first->entry == 0);
  }
  CHECK(gr_heap_least(heap, 7) == 7);
}

// All that are in it are known by their entries, and by no others'.
static void check_entries(gr_heap *heap) {
  for (uint32_t i = 0; i < heap->count; i++) {
    gr_heap_node *node = gr_heap_at(heap, i);
    CHECK(node->entry == heap->slots[i].entry + 1);
    CHECK(heap->places[node->entry - 1] == i);
    CHECK(node->key == heap->slots[i].key);
  }
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
    check_entries(&heap);
    check_order(&heap);
  }
  gr_heap_fini(&heap);
  puts("heap: ok");
}
