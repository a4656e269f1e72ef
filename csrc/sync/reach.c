// SPDX-License-Identifier: MIT
// Every edge is followed once, so that the time is in proportion to them and to
// the vertices.
#include "sync/reach.h"

#include <stdlib.h>

enum { ROOM_MIN = 64 };

void gr_reach_fini(gr_reach *r) {
  free(r->vertices);
  free(r->edges);
  free(r->table);
  *r = (gr_reach){0};
}

// --- the table ---

static uint32_t *place_of(const gr_reach *r, const void *address) {
  uint64_t hash = (uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15);
  uint32_t at = (uint32_t)(hash >> 32) & (r->size - 1);
  while (r->table[at] && r->vertices[r->table[at]].address != address)
    at = (at + 1) & (r->size - 1);
  return &r->table[at];
}

// Room for another vertex, and a table of twice as many places.
static bool make_room(gr_reach *r) {
  if (r->count < r->room)
    return true;
  uint32_t room = r->room ? r->room * 2 : ROOM_MIN;
  gr_vertex *vertices = realloc(r->vertices, room * sizeof *vertices);
  if (!vertices)
    return false;
  r->vertices = vertices;
  uint32_t *table = calloc((size_t)room * 2, sizeof *table);
  if (!table)
    return false;
  free(r->table);
  r->table = table;
  r->size = room * 2;
  r->room = room;
  if (r->count == 0)
    r->vertices[r->count++] = (gr_vertex){0};
  for (uint32_t i = 1; i < r->count; i++)
    *place_of(r, r->vertices[i].address) = i;
  return true;
}

uint32_t gr_reach_add(gr_reach *r, const void *address, gr_refs *refs) {
  if (!make_room(r)) {
    r->has_failed = true;
    return 0;
  }
  uint32_t *place = place_of(r, address);
  if (!*place) {
    *place = r->count;
    r->vertices[r->count++] = (gr_vertex){.address = address, .refs = refs};
  }
  return *place;
}

uint32_t gr_reach_find(const gr_reach *r, const void *address) {
  return r->size ? *place_of(r, address) : 0;
}

// --- edges ---

void gr_reach_link(gr_reach *r, uint32_t from, uint32_t to) {
  if (!from || !to)
    return;
  if (r->edge_count == r->edge_room) {
    uint32_t room = r->edge_room ? r->edge_room * 2 : ROOM_MIN;
    gr_edge *edges = realloc(r->edges, room * sizeof *edges);
    if (!edges) {
      r->has_failed = true;
      return;
    }
    r->edges = edges;
    r->edge_room = room;
    r->edge_count += r->edge_count == 0;
  }
  r->edges[r->edge_count] = (gr_edge){to, r->vertices[from].edges};
  r->vertices[from].edges = r->edge_count++;
  r->vertices[to].seen_for = from;
}

// --- what is reached ---

void gr_reach_mark(gr_reach *r, uint32_t vertex) {
  gr_vertex *v = &r->vertices[vertex];
  if (!vertex || v->is_reached)
    return;
  v->is_reached = true;
  v->next = r->reached;
  r->reached = vertex;
}

void gr_reach_spread(gr_reach *r) {
  for (uint32_t i; (i = r->reached);) {
    r->reached = r->vertices[i].next;
    for (uint32_t e = r->vertices[i].edges; e; e = r->edges[e].next)
      if (++r->vertices[r->edges[e].to].outside > 0)
        gr_reach_mark(r, r->edges[e].to);
  }
}

static void read_count(gr_vertex *v) {
  v->outside = 0;
  if (v->refs)
    v->outside = (int64_t)atomic_load(&v->refs->count) - v->is_retained;
}

static void take_off(gr_reach *r, uint32_t vertex) {
  for (uint32_t e = r->vertices[vertex].edges; e; e = r->edges[e].next) {
    gr_vertex *to = &r->vertices[r->edges[e].to];
    to->outside -= to->refs != NULL;
  }
}

void gr_reach_solve(gr_reach *r) {
  for (uint32_t i = 1; i < r->count; i++)
    read_count(&r->vertices[i]);
  for (uint32_t i = 1; i < r->count; i++)
    take_off(r, i);
  r->reached = 0;
  for (uint32_t i = 1; i < r->count; i++) {
    gr_vertex *v = &r->vertices[i];
    bool is_reached = v->is_reached || v->outside > 0;
    v->is_reached = false;
    if (is_reached)
      gr_reach_mark(r, i);
  }
  gr_reach_spread(r);
}
