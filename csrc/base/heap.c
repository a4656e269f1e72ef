// SPDX-License-Identifier: MIT
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

// The siblings in slots 1 to 4 begin a cache line, and so do all others.
enum { WAYS = 4, ROOM_MIN = 16, LINE = 64, BEFORE = WAYS - 1 };

void gr_heap_init(gr_heap *heap) {
  *heap = (gr_heap){0};
}

void gr_heap_fini(gr_heap *heap) {
  free(heap->memory);
  gr_heap_init(heap);
}

static void put(gr_heap *heap, uint32_t i, gr_heap_slot slot) {
  heap->slots[i] = slot;
  heap->places[slot.entry] = i;
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

static bool grow(gr_heap *heap) {
  uint32_t room = heap->room ? heap->room * 2 : ROOM_MIN;
  size_t slots_bytes = (BEFORE + (size_t)room) * sizeof *heap->slots;
  size_t each = sizeof *heap->nodes + sizeof *heap->places;
  size_t bytes = (slots_bytes + room * each + LINE - 1) / LINE * LINE;
  gr_heap_slot *memory = aligned_alloc(LINE, bytes);
  if (!memory)
    return false;
  gr_heap_slot *slots = memory + BEFORE;
  gr_heap_node **nodes = (void *)(slots + room);
  uint32_t *places = (void *)(nodes + room);
  if (heap->count > 0) {
    memcpy(slots, heap->slots, heap->count * sizeof *slots);
    memcpy(nodes, heap->nodes, heap->count * sizeof *nodes);
    memcpy(places, heap->places, heap->count * sizeof *places);
  }
  for (uint32_t i = heap->count; i < room; i++)
    slots[i].entry = i; // it was full: all entries before are in use
  free(heap->memory);
  *heap = (gr_heap){slots, nodes, places, heap->count, room, memory};
  return true;
}

bool gr_heap_push(gr_heap *heap, gr_heap_node *node) {
  GR_ASSERT(node->entry == 0);
  if (heap->count == heap->room && !grow(heap))
    return false;
  uint32_t i = heap->count++, entry = heap->slots[i].entry;
  heap->nodes[entry] = node;
  node->entry = entry + 1;
  sift_up(heap, i, (gr_heap_slot){node->key, entry});
  return true;
}

static void remove_at(gr_heap *heap, uint32_t i) {
  uint32_t entry = heap->slots[i].entry;
  gr_heap_slot last = heap->slots[--heap->count];
  heap->slots[heap->count].entry = entry; // it is free
  if (i == heap->count)
    return;
  if (i > 0 && heap->slots[(i - 1) / WAYS].key > last.key)
    sift_up(heap, i, last);
  else
    sift_down(heap, i, last);
}

void gr_heap_remove(gr_heap *heap, gr_heap_node *node) {
  uint32_t entry = node->entry - 1;
  GR_ASSERT(node->entry != 0 && heap->nodes[entry] == node);
  node->entry = 0;
  remove_at(heap, heap->places[entry]);
}

gr_heap_node *gr_heap_pop(gr_heap *heap) {
  gr_heap_node *node = gr_heap_at(heap, 0);
  remove_at(heap, 0);
  return node;
}
