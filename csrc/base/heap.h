// SPDX-License-Identifier: MIT
// A four-way heap of pointers to elements that begin with a gr_heap_node:
// smallest key first. Elements know their entry, so that any can be removed.
// They are far from each other, and most of them cold: what moves about in the
// heap are keys with numbers of entries, and no element is touched for that.
#ifndef GR_HEAP_H
#define GR_HEAP_H

#include "base/base.h"

typedef struct gr_heap_node {
  uint64_t key;
  uint32_t entry; // counted from 1; 0 when in no heap
} gr_heap_node;

typedef struct gr_heap_slot {
  uint64_t key;
  uint32_t entry; // counted from 0. From `count` on: those that are free.
} gr_heap_slot;

typedef struct gr_heap {
  gr_heap_slot *slots;  // four siblings lie in one cache line
  gr_heap_node **nodes; // of each entry,
  uint32_t *places;     // and in which slot it is
  uint32_t count;
  uint32_t room;
  void *memory; // of all three
} gr_heap;

void gr_heap_init(gr_heap *heap);
void gr_heap_fini(gr_heap *heap);

// Adds a node with its key set. False, and nothing done, when out of memory.
bool gr_heap_push(gr_heap *heap, gr_heap_node *node);

// Takes a node out that is in the heap.
void gr_heap_remove(gr_heap *heap, gr_heap_node *node);

// Takes the node with the smallest key out of a heap that has one, and does not
// touch it: the caller sets its entry to 0.
gr_heap_node *gr_heap_pop(gr_heap *heap);

// The smallest key, or `none`.
static inline uint64_t gr_heap_least(const gr_heap *heap, uint64_t none) {
  return heap->count ? heap->slots[0].key : none;
}

// The node in the i-th slot.
static inline gr_heap_node *gr_heap_at(const gr_heap *heap, uint32_t i) {
  return heap->nodes[heap->slots[i].entry];
}

#endif
