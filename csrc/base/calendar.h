// SPDX-License-Identifier: MIT
// A queue of elements that begin with a gr_calendar_node, smallest key first;
// any can be removed. Keys are times in nanoseconds, and mostly near the
// smallest one, as deadlines are.
//
// What comes first is in a four-way heap; if there are many elements, those
// that come later lie unsorted in boxes, each for the keys of some
// milliseconds. (After timing wheels: Varghese and Lauck, 1987.) So the heap
// stays small enough for the caches, of which each level costs one line.
//
// Elements are far from each other, and most of them cold: what moves about are
// their keys, with the numbers of their entries, and no element is touched for
// that.
#ifndef GR_CALENDAR_H
#define GR_CALENDAR_H

#include "base/base.h"

typedef struct gr_calendar_node {
  uint64_t key;
  uint32_t entry; // counted from 1; 0 when in none
} gr_calendar_node;

typedef struct gr_calendar_slot {
  uint64_t key;
  uint32_t entry; // counted from 0
} gr_calendar_slot;

typedef struct gr_calendar {
  void *memory; // of all that follows; for `room` elements
  uint32_t count, room;
  gr_calendar_node **nodes; // of each entry; NULL: it is free,
  uint32_t *places;         // and this the next free one
  uint32_t free_entry;
  uint32_t entries; // that have been used: those behind are free, too

  gr_calendar_slot *heap; // four siblings lie in one cache line
  uint32_t heap_count;

  // Boxes, and what is in them. None, while there is room for few.
  struct gr_calendar_chunk *chunks;
  uint32_t *boxes;      // the first chunk of each, or 0
  uint32_t free_chunk;  // of a list, or 0
  uint32_t chunks_used; // those behind are free, too
  uint32_t boxed;       // elements in boxes
  uint64_t horizon; // where the first box begins: all keys in boxes are from
                    // there on, and if there are any, the smallest of the
                    // heap is before it
} gr_calendar;

void gr_calendar_init(gr_calendar *c);
void gr_calendar_fini(gr_calendar *c);

// Adds a node with its key set. False, and nothing done, when out of memory.
bool gr_calendar_push(gr_calendar *c, gr_calendar_node *node);

// Takes a node out that is in it.
void gr_calendar_remove(gr_calendar *c, gr_calendar_node *node);

// Takes the node with the smallest key out of a calendar that has one, and does
// not touch it: the caller sets its entry to 0.
gr_calendar_node *gr_calendar_pop(gr_calendar *c);

// The smallest key, or `none`.
static inline uint64_t gr_calendar_least(const gr_calendar *c, uint64_t none) {
  return c->count ? c->heap[0].key : none;
}

// For going through all: the node of one of the `entries`, or NULL.
static inline gr_calendar_node *gr_calendar_at(const gr_calendar *c,
                                               uint32_t entry) {
  return c->nodes[entry];
}

#endif
