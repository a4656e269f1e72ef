// SPDX-License-Identifier: MIT
// A four-way heap of pointers to elements that begin with a gr_heap_node:
// smallest key first. Elements know their place, so that any can be removed.
#ifndef GR_HEAP_H
#define GR_HEAP_H

#include "base/base.h"

typedef struct gr_heap_node {
  uint64_t key;
  uint32_t place; // its index in the heap, counted from 1; 0 when in none
} gr_heap_node;

// The keys lie side by side: the elements are far from each other, and most of
// them cold.
typedef struct gr_heap_slot {
  uint64_t key;
  gr_heap_node *node;
} gr_heap_slot;

typedef struct gr_heap {
  gr_heap_slot *slots;
  uint32_t count;
  uint32_t room;
} gr_heap;

void gr_heap_init(gr_heap *heap);
void gr_heap_fini(gr_heap *heap);

// Adds a node with its key set. False, and nothing done, when out of memory.
bool gr_heap_push(gr_heap *heap, gr_heap_node *node);

// Takes a node out that is in the heap.
void gr_heap_remove(gr_heap *heap, gr_heap_node *node);

// The node with the smallest key, or NULL.
static inline gr_heap_node *gr_heap_first(const gr_heap *heap) {
  return heap->count ? heap->slots[0].node : NULL;
}

#endif
