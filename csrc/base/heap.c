// SPDX-License-Identifier: MIT
#include "base/heap.h"

#include <stdlib.h>

enum { WAYS = 4, ROOM_MIN = 16 };

void gr_heap_init(gr_heap *heap) {
  *heap = (gr_heap){0};
}

void gr_heap_fini(gr_heap *heap) {
  free(heap->nodes);
  gr_heap_init(heap);
}

static void put(gr_heap *heap, uint32_t i, gr_heap_node *node) {
  heap->nodes[i] = node;
  node->place = i + 1;
}

// Both move the hole at i to where `node` belongs, and put it there.
static void sift_up(gr_heap *heap, uint32_t i, gr_heap_node *node) {
  while (i > 0) {
    uint32_t parent = (i - 1) / WAYS;
    if (heap->nodes[parent]->key <= node->key)
      break;
    put(heap, i, heap->nodes[parent]);
    i = parent;
  }
  put(heap, i, node);
}

static void sift_down(gr_heap *heap, uint32_t i, gr_heap_node *node) {
  for (;;) {
    uint32_t first = i * WAYS + 1, least = first;
    if (first >= heap->count)
      break;
    for (uint32_t c = first + 1; c < first + WAYS && c < heap->count; c++)
      if (heap->nodes[c]->key < heap->nodes[least]->key)
        least = c;
    if (node->key <= heap->nodes[least]->key)
      break;
    put(heap, i, heap->nodes[least]);
    i = least;
  }
  put(heap, i, node);
}

bool gr_heap_push(gr_heap *heap, gr_heap_node *node) {
  GR_ASSERT(node->place == 0);
  if (heap->count == heap->room) {
    uint32_t room = heap->room ? heap->room * 2 : ROOM_MIN;
    void *nodes = realloc(heap->nodes, room * sizeof *heap->nodes);
    if (!nodes)
      return false;
    heap->nodes = nodes;
    heap->room = room;
  }
  sift_up(heap, heap->count++, node);
  return true;
}

void gr_heap_remove(gr_heap *heap, gr_heap_node *node) {
  GR_ASSERT(node->place != 0 && heap->nodes[node->place - 1] == node);
  uint32_t i = node->place - 1;
  gr_heap_node *last = heap->nodes[--heap->count];
  node->place = 0;
  if (last == node)
    return;
  if (i > 0 && heap->nodes[(i - 1) / WAYS]->key > last->key)
    sift_up(heap, i, last);
  else
    sift_down(heap, i, last);
}
