// SPDX-License-Identifier: MIT
// What can be reached from outside a set of goroutines and of objects: those
// with more references than the set itself has. It is found by trial deletion:
// the references that are known to come from within are taken off the counts,
// and what has some left is reached. Whatever is reached gives back what it
// has, so that more may be.
//
// Used by one thread, which keeps the objects from being freed.
#ifndef GR_REACH_H
#define GR_REACH_H

#include "base/base.h"
#include "base/refs.h"

// A goroutine, or an object with a count of references. They are known by their
// index, from 1 on.
typedef struct gr_vertex {
  const void *address;
  gr_refs *refs;   // NULL: a goroutine
  uint32_t edges;  // the first of those that begin here; 0: none
  uint32_t next;   // reached, too, and not yet followed
  int64_t outside; // references, or reasons to be reached, from there
  bool is_reached;
  bool is_channel;   // the caller's notes
  bool is_retained;  // one reference is the caller's
  uint32_t seen_for; // the vertex that it was last linked from
} gr_vertex;

// From who is reached to what is then: an object, of which there has been a
// reference, or a goroutine that waits on it.
typedef struct gr_edge {
  uint32_t to;
  uint32_t next; // that begins there, too
} gr_edge;

typedef struct gr_reach {
  gr_vertex *vertices; // the first is none
  uint32_t count, room;
  gr_edge *edges; // the same
  uint32_t edge_count, edge_room;
  uint32_t *table; // by address; 0: free
  uint32_t size;   // a power of two
  uint32_t reached;
  bool has_failed; // out of memory
} gr_reach;

// Zeroed memory is an empty one. Frees what it has.
void gr_reach_fini(gr_reach *r);

// The vertex of that address, made if there is none; `refs` is NULL for a
// goroutine. 0 when out of memory, which is kept in mind.
uint32_t gr_reach_add(gr_reach *r, const void *address, gr_refs *refs);

// The same, or 0 if there is none.
uint32_t gr_reach_find(const gr_reach *r, const void *address);

// Adds an edge; nothing if one of the vertices is 0.
void gr_reach_link(gr_reach *r, uint32_t from, uint32_t to);

// It is reached, whatever its count tells.
void gr_reach_mark(gr_reach *r, uint32_t vertex);

// Reads the counts, and marks all that is reached.
void gr_reach_solve(gr_reach *r);

// Marks what is reached because of marks since then, by the counts as they were
// read.
void gr_reach_spread(gr_reach *r);

#endif
