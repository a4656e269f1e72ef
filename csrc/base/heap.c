// SPDX-License-Identifier: MIT
#include "base/heap.h"

#include <stdlib.h>

enum { WAYS = 4, ROOM_MIN = 16 };

void gr_heap_init(gr_heap *heap) {
  *heap = (gr_heap){0};
}

void gr_heap_fini(gr_heap *heap) {
  free(heap->slots);
  gr_heap_init(heap);
}

static void put(gr_heap *heap, uint32_t i, gr_heap_slot slot) {
  heap->slots[i] = slot;
  slot.node->place = i + 1;
}

// Both move the hole at i to where `slot` belongs, and put it there.
static void sift_up(gr_heap *heap, uint32_t i, gr_heap_slot slot) {
  while (i > 0) {
    uint32_t parent = (i - 1) / WAYS;
    if (heap->slots[parent].key <= slot.key)
      break;
    put(heap, i, heap->slots[parent]);
    i = parent;
  }
  put(heap, i, slot);
}

static void sift_down(gr_heap *heap, uint32_t i, gr_heap_slot slot) {
  for (;;) {
    uint32_t first = i * WAYS + 1, least = first;
    if (first >= heap->count)
      break;
    for (uint32_t c = first + 1; c < first + WAYS && c < heap->count; c++)
      if (heap->slots[c].key < heap->slots[least].key)
        least = c;
    if (slot.key <= heap->slots[least].key)
      break;
    put(heap, i, heap->slots[least]);
    i = least;
  }
  put(heap, i, slot);
}

bool gr_heap_push(gr_heap *heap, gr_heap_node *node) {
  GR_ASSERT(node->place == 0);
  if (heap->count == heap->room) {
    uint32_t room = heap->room ? heap->room * 2 : ROOM_MIN;
    void *slots = realloc(heap->slots, room * sizeof *heap->slots);
    if (!slots)
      return false;
    heap->slots = slots;
    heap->room = room;
  }
  sift_up(heap, heap->count++, (gr_heap_slot){node->key, node});
  return true;
}

void gr_heap_remove(gr_heap *heap, gr_heap_node *node) {
  GR_ASSERT(node->place != 0 && heap->slots[node->place - 1].node == node);
  uint32_t i = node->place - 1;
  gr_heap_slot last = heap->slots[--heap->count];
  node->place = 0;
  if (last.node == node)
    return;
  if (i > 0 && heap->slots[(i - 1) / WAYS].key > last.key)
    sift_up(heap, i, last);
  else
    sift_down(heap, i, last);
}
