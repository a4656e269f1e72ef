// SPDX-License-Identifier: MIT
#include "base/calendar.h"

#include <stdlib.h>
#include <string.h>

enum {
  WAYS = 4,
  BEFORE = WAYS - 1, // so that the siblings 1 to 4 begin a line, and all others
  ROOM_MIN = 16,
  NONE = UINT32_MAX, // no entry
};

// Of boxes.
enum {
  BOXED_MIN = 1024, // with less room there are none
  HEAP_MIN = 512,   // so many are in the heap in any case
  BOX_SHIFT = 23,   // each is for 8.4 ms,
  BOXES = 512,      // all for 4.3 s
  CHUNK_SLOTS = 15,
  CHUNK_SHIFT = 4, // places in chunks: number << 4 | slot
};
#define BOX_WIDTH (UINT64_C(1) << BOX_SHIFT)
#define IN_BOX UINT32_C(0x80000000) // in places

// All chunks of a box but the first are full.
typedef struct gr_calendar_chunk {
  uint32_t next; // 0: none
  uint32_t count;
  uint64_t unused;
  gr_calendar_slot slots[CHUNK_SLOTS];
} chunk;

_Static_assert(sizeof(chunk) % GR_LINE_BYTES == 0, "chunks begin lines");

void gr_calendar_init(gr_calendar *c) {
  *c = (gr_calendar){.free_entry = NONE};
}

void gr_calendar_fini(gr_calendar *c) {
  free(c->memory);
  gr_calendar_init(c);
}

// --- the heap ---

static void put(gr_calendar *c, uint32_t i, gr_calendar_slot slot) {
  c->heap[i] = slot;
  c->places[slot.entry] = i;
}

// Both move the hole at i to where `slot` belongs, and put it there.
static void sift_up(gr_calendar *c, uint32_t i, gr_calendar_slot slot) {
  while (i > 0) {
    uint32_t parent = (i - 1) / WAYS;
    if (c->heap[parent].key <= slot.key)
      break;
    put(c, i, c->heap[parent]);
    i = parent;
  }
  put(c, i, slot);
}

static void sift_down(gr_calendar *c, uint32_t i, gr_calendar_slot slot) {
  const gr_calendar_slot *heap = c->heap;
  uint32_t count = c->heap_count;
  for (;;) {
    uint32_t first = i * WAYS + 1, least = first;
    if (first >= count)
      break;
    for (uint32_t k = first + 1; k < first + WAYS && k < count; k++)
      if (heap[k].key < heap[least].key)
        least = k;
    if (slot.key <= heap[least].key)
      break;
    put(c, i, heap[least]);
    i = least;
  }
  put(c, i, slot);
}

static void heap_add(gr_calendar *c, gr_calendar_slot slot) {
  sift_up(c, c->heap_count++, slot);
}

static void heap_remove(gr_calendar *c, uint32_t i) {
  gr_calendar_slot last = c->heap[--c->heap_count];
  if (i == c->heap_count)
    return;
  if (i > 0 && c->heap[(i - 1) / WAYS].key > last.key)
    sift_up(c, i, last);
  else
    sift_down(c, i, last);
}

// --- boxes ---

static uint32_t *box_of(gr_calendar *c, uint64_t key) {
  return &c->boxes[key >> BOX_SHIFT & (BOXES - 1)];
}

static void box_add(gr_calendar *c, gr_calendar_slot slot) {
  uint32_t *box = box_of(c, slot.key), number = *box;
  if (!number || c->chunks[number].count == CHUNK_SLOTS) {
    number = c->free_chunk;
    if (number)
      c->free_chunk = c->chunks[number].next;
    else
      number = c->chunks_used++;
    c->chunks[number].next = *box;
    c->chunks[number].count = 0;
    *box = number;
  }
  chunk *k = &c->chunks[number];
  c->places[slot.entry] = IN_BOX | number << CHUNK_SHIFT | k->count;
  k->slots[k->count++] = slot;
  c->boxed++;
}

static void free_first_chunk(gr_calendar *c, uint32_t *box) {
  uint32_t number = *box;
  *box = c->chunks[number].next;
  c->chunks[number].next = c->free_chunk;
  c->free_chunk = number;
}

// The last of the box takes its place.
static void box_remove(gr_calendar *c, uint32_t place) {
  gr_calendar_slot *slot = &c->chunks[(place & ~IN_BOX) >> CHUNK_SHIFT]
                                .slots[place & ((1 << CHUNK_SHIFT) - 1)];
  uint32_t *box = box_of(c, slot->key);
  chunk *first = &c->chunks[*box];
  gr_calendar_slot last = first->slots[--first->count];
  c->places[last.entry] = place;
  *slot = last;
  if (first->count == 0)
    free_first_chunk(c, box);
  c->boxed--;
}

// Moves what is in the first box to the heap.
static void open_box(gr_calendar *c) {
  uint32_t *box = box_of(c, c->horizon);
  c->horizon += BOX_WIDTH;
  while (*box) {
    chunk *k = &c->chunks[*box];
    c->boxed -= k->count;
    for (uint32_t i = 0; i < k->count; i++)
      heap_add(c, k->slots[i]);
    free_first_chunk(c, box);
  }
}

static void open_boxes(gr_calendar *c) {
  while (c->boxed > 0 && (c->heap_count == 0 || c->heap[0].key >= c->horizon))
    open_box(c);
}

// Whether it comes late enough, but not too late.
static bool goes_into_box(gr_calendar *c, uint64_t key) {
  if (!c->chunks || c->heap_count < HEAP_MIN ||
      c->heap[0].key > UINT64_MAX - 2 * BOX_WIDTH) // there is no such horizon
    return false;
  if (c->boxed == 0)
    c->horizon = (c->heap[0].key / BOX_WIDTH + 2) * BOX_WIDTH;
  return key >= c->horizon && key - c->horizon < BOXES * BOX_WIDTH;
}

// --- all ---

static size_t chunks_for(uint32_t room) {
  // Number 0 is none; of each box, one may not be full.
  return room < BOXED_MIN ? 0 : 1 + BOXES + room / CHUNK_SLOTS;
}

// All numbers stay.
static void move_boxes(gr_calendar *to, const gr_calendar *from) {
  if (from->chunks) {
    memcpy(to->chunks, from->chunks, from->chunks_used * sizeof(chunk));
    memcpy(to->boxes, from->boxes, BOXES * sizeof *to->boxes);
  } else {
    memset(to->boxes, 0, BOXES * sizeof *to->boxes);
    to->chunks_used = 1;
  }
}

// The new half is not touched, for a lock is held.
static bool grow(gr_calendar *c) {
  gr_calendar to = *c;
  to.room = c->room ? c->room * 2 : ROOM_MIN;
  size_t chunks = chunks_for(to.room);
  size_t heap_bytes = (BEFORE + (size_t)to.room) * sizeof *to.heap;
  size_t bytes = chunks * sizeof(chunk) + heap_bytes +
                 to.room * (sizeof *to.nodes + sizeof *to.places) +
                 (chunks ? BOXES * sizeof *to.boxes : 0);
  to.memory = aligned_alloc(GR_LINE_BYTES, (bytes + GR_LINE_BYTES - 1) /
                                               GR_LINE_BYTES * GR_LINE_BYTES);
  if (!to.memory)
    return false;
  chunk *first = to.memory;
  to.chunks = chunks ? first : NULL;
  to.heap = (gr_calendar_slot *)(void *)(first + chunks) + BEFORE;
  to.nodes = (void *)(to.heap + to.room);
  to.places = (void *)(to.nodes + to.room);
  to.boxes = to.places + to.room;
  if (c->room > 0) {
    memcpy(to.heap, c->heap, c->heap_count * sizeof *to.heap);
    memcpy(to.nodes, c->nodes, c->entries * sizeof *to.nodes);
    memcpy(to.places, c->places, c->entries * sizeof *to.places);
  }
  if (chunks)
    move_boxes(&to, c);
  free(c->memory);
  *c = to;
  return true;
}

bool gr_calendar_push(gr_calendar *c, gr_calendar_node *node) {
  GR_ASSERT(node->entry == 0);
  if (c->count == c->room && !grow(c))
    return false;
  uint32_t entry = c->free_entry;
  if (entry != NONE)
    c->free_entry = c->places[entry];
  else
    entry = c->entries++;
  c->nodes[entry] = node;
  c->count++;
  node->entry = entry + 1;
  gr_calendar_slot slot = {node->key, entry};
  if (goes_into_box(c, slot.key))
    box_add(c, slot);
  else
    heap_add(c, slot);
  return true;
}

static void remove_entry(gr_calendar *c, uint32_t entry) {
  uint32_t place = c->places[entry];
  if (place & IN_BOX)
    box_remove(c, place);
  else
    heap_remove(c, place);
  c->nodes[entry] = NULL;
  c->places[entry] = c->free_entry;
  c->free_entry = entry;
  c->count--;
  open_boxes(c);
}

void gr_calendar_remove(gr_calendar *c, gr_calendar_node *node) {
  GR_ASSERT(node->entry != 0 && c->nodes[node->entry - 1] == node);
  remove_entry(c, node->entry - 1);
  node->entry = 0;
}

gr_calendar_node *gr_calendar_pop(gr_calendar *c) {
  uint32_t entry = c->heap[0].entry;
  gr_calendar_node *node = c->nodes[entry];
  remove_entry(c, entry);
  return node;
}
