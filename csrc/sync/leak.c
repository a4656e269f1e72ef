// SPDX-License-Identifier: MIT
// All goroutines that wait are kept from running (see examine.h), and those
// without a timeout are in question. What they have is known then: the handles
// in their states, and what lies in channels. Whatever of that has more
// references than these is reached from outside (see reach.h), and with it who
// waits on it; these reach in turn what they have. The others are leaked.
//
//   a channel  is reached, too, if a timer or the like sends to it
//   a task     ends unless its goroutine is in question itself
//   messages   that are buffered in a channel, or that a sender has come to it
//              with, are the channel's
//
// What is not known here counts as outside: a map's values, the mutex of a
// condition, the context of a task. Being cancelled does not count as going on,
// unless a time is set for it.
//
// The others go on meanwhile. What nobody outside has a reference to stays so,
// for those who have are kept from running; so each count may be read at a time
// of its own. Whether a wait has been ended before is looked up after that. But
// a message may be taken out of a channel by one who forgets the channel then.
// Only where it looks as if nobody could, the channels that have references in
// them are locked, all at once, and all is looked at again.
#include "sync/leak.h"

#include <stdlib.h>

#include "sched/barrier.h"
#include "sched/examine.h"
#include "sched/sched.h"
#include "sync/closing.h"
#include "sync/map.h"
#include "sync/reach.h"
#include "sync/select.h"

enum {
  MESSAGES_MAX = 256, // of a channel that are looked at, under its lock
  LOCKS_MAX = 1000,   // at once
};

// A channel with references in its messages.
typedef struct filled {
  gr_channel *channel;
  uint32_t vertex;
  uint32_t edges; // of the vertex before those for its messages
} filled;

typedef struct search {
  gr_goroutine **all; // that are kept from running; in the graph from 1 on
  uint32_t count, room;
  gr_reach graph;
  const gr_handle_type *channel_type;
  uint32_t from; // whose handles or messages are looked at
  bool is_again; // at messages: no new channels then
  filled *filled;
  uint32_t filled_count, filled_room;
} search;

// One at a time, for it uses stacks of the states that it looks at.
static gr_lock one_search = GR_LOCK_STATIC(GR_RANK_SEARCH);

// --- who waits ---

static bool is_waiting(gr_goroutine *g) {
  return atomic_load_explicit(&g->status, memory_order_acquire) == GR_WAITING;
}

// False if there was not enough room.
static bool hold_locked(search *s) {
  gr_list *all = &gr_family_self()->goroutines;
  s->count = 0;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    if (!is_waiting(g))
      continue;
    if (s->count == s->room)
      return false;
    s->all[s->count++] = g;
  }
  for (uint32_t i = 0; i < s->count; i++)
    atomic_fetch_add(&s->all[i]->examined, 1);
  return true;
}

static void let_go(search *s) {
  for (uint32_t i = 0; i < s->count; i++)
    atomic_fetch_sub(&s->all[i]->examined, 1);
}

// Keeps all that wait from running. False when out of memory.
static bool hold(search *s) {
  for (bool fits = false; !fits;) {
    free(s->all);
    s->room = atomic_load(&gr_family_self()->count) + 64;
    s->all = malloc(s->room * sizeof(gr_goroutine *));
    if (!s->all)
      return false;
    gr_lock_lock(&gr_the_sched.lock);
    fits = hold_locked(s);
    gr_lock_unlock(&gr_the_sched.lock);
  }
  gr_barrier_everywhere();
  return true;
}

// --- who is in question ---

static bool is_open(gr_goroutine *g) {
  return (atomic_load(&g->claim) & GR_CLAIM_MASK) == GR_CLAIM_OPEN;
}

// Its wait has a time limit itself, or is in something that has one.
static bool is_timed(gr_goroutine *g) {
  const gr_task *task = g->owner;
  if (g->wait_is_timed || (task && task->closing))
    return true;
  for (gr_cancel_scope *scope = g->scope; scope; scope = scope->parent)
    if (scope->deadline_ns != GR_NEVER)
      return true;
  return false;
}

static bool is_in_question(gr_goroutine *g) {
  if (!is_waiting(g) || !is_open(g) || is_timed(g))
    return false;
  switch (atomic_load_explicit(&g->wait_kind, memory_order_relaxed)) {
  case GR_WAIT_SEND:
  case GR_WAIT_RECV:
  case GR_WAIT_SELECT:
  case GR_WAIT_SELECT_NONE:
  case GR_WAIT_JOIN:
  case GR_WAIT_MUTEX:
  case GR_WAIT_RLOCK:
  case GR_WAIT_WLOCK:
  case GR_WAIT_GROUP:
  case GR_WAIT_ONCE:
  case GR_WAIT_COND:
  case GR_WAIT_SEMAPHORE:
  case GR_WAIT_BARRIER:
  case GR_WAIT_MAP:
    return true;
  default:
    return false;
  }
}

static void add_goroutines(search *s) {
  for (uint32_t i = 0; i < s->count; i++) {
    uint32_t vertex = gr_reach_add(&s->graph, s->all[i], NULL);
    if (!is_in_question(s->all[i]))
      gr_reach_mark(&s->graph, vertex);
  }
}

// --- on what they wait ---

static uint32_t add_channel(search *s, gr_channel *c) {
  uint32_t vertex = gr_reach_add(&s->graph, c, &c->refs);
  s->graph.vertices[vertex].is_channel = true;
  if (c->on_free)
    gr_reach_mark(&s->graph, vertex);
  return vertex;
}

static void add_cases(search *s, const gr_case *c, uint32_t vertex) {
  for (;; c++) {
    if (c->channel)
      gr_reach_link(&s->graph, add_channel(s, c->channel), vertex);
    if (c->is_last)
      return;
  }
}

static void add_joiner(search *s, gr_task *task, uint32_t vertex) {
  gr_lock_lock(&task->lock);
  uint32_t joined = task->g ? gr_reach_find(&s->graph, task->g) : 0;
  gr_lock_unlock(&task->lock);
  if (joined)
    gr_reach_link(&s->graph, joined, vertex);
  else
    gr_reach_mark(&s->graph, vertex);
}

static void add_user(search *s, gr_object *object, uint32_t vertex) {
  gr_reach_link(&s->graph, gr_reach_add(&s->graph, object, &object->refs),
                vertex);
}

static void add_wait_of(search *s, gr_goroutine *g, uint32_t vertex) {
  switch (atomic_load_explicit(&g->wait_kind, memory_order_relaxed)) {
  case GR_WAIT_SELECT_NONE:
    break;
  case GR_WAIT_SEND:
  case GR_WAIT_RECV:
    gr_reach_link(&s->graph, add_channel(s, (gr_channel *)g->wait_object),
                  vertex);
    break;
  case GR_WAIT_SELECT:
    add_cases(s, g->wait_object, vertex);
    break;
  case GR_WAIT_JOIN:
    add_joiner(s, (gr_task *)g->wait_object, vertex);
    break;
  case GR_WAIT_MAP:
    add_user(s, &((const gr_map_entry *)g->wait_object)->map->object, vertex);
    break;
  default:
    add_user(s, (gr_object *)g->wait_object, vertex);
  }
}

// --- what they have ---

static bool has_messages(gr_channel *c) {
  gr_lock_lock(&c->lock);
  bool has = c->count > 0 || !gr_list_is_empty(&c->senders);
  gr_lock_unlock(&c->lock);
  return has;
}

// The goroutine `from` has it. Of interest is what somebody waits on, and what
// has messages.
static void on_handle(void *arg, const gr_handle *handle) {
  search *s = arg;
  if (!handle->object)
    return;
  uint32_t vertex = gr_reach_find(&s->graph, handle->object);
  if (!vertex && handle->type == s->channel_type &&
      has_messages(handle->object))
    vertex = add_channel(s, handle->object);
  gr_reach_link(&s->graph, s->from, vertex);
}

// Each channel in a select is there with a handle, or belongs to a ticker and
// is reached.
static void add_handles_of_cases(search *s, const gr_case *c) {
  for (;; c++) {
    uint32_t vertex = c->channel ? gr_reach_find(&s->graph, c->channel) : 0;
    if (vertex && s->graph.vertices[vertex].seen_for != s->from)
      gr_reach_link(&s->graph, s->from, vertex);
    if (c->is_last)
      return;
  }
}

// `current` is NULL while its state is not there, or no longer. Its main thread
// is, as long as the state: it runs, or has resumed another.
static void add_handles_of(search *s, gr_goroutine *g) {
  if (g->current && gr_handle_each(g->L, on_handle, s))
    return;
  if (g->wait_kind == GR_WAIT_SELECT) // with many cases
    add_handles_of_cases(s, g->wait_object);
}

static void on_reference(void *arg, const gr_handle_type *type, void *object) {
  search *s = arg;
  uint32_t vertex = gr_reach_find(&s->graph, object);
  if (!vertex && !s->is_again && type == s->channel_type) {
    vertex = add_channel(s, object);
    if (vertex) {
      gr_channel_retain(object); // before somebody takes the message
      s->graph.vertices[vertex].is_retained = true;
    }
  }
  gr_reach_link(&s->graph, s->from, vertex);
}

static void on_message(void *arg, const gr_message *message) {
  gr_message_each_handle(message, on_reference, arg);
}

static void look_into_locked(search *s, gr_channel *c, uint32_t vertex) {
  s->from = vertex;
  gr_channel_each_locked(c, MESSAGES_MAX, on_message, s);
}

static void add_filled(search *s, filled f) {
  if (s->filled_count == s->filled_room) {
    uint32_t room = s->filled_room * 2 + 16;
    filled *all = realloc(s->filled, room * sizeof *all);
    if (!all) {
      s->graph.has_failed = true;
      return;
    }
    s->filled = all;
    s->filled_room = room;
  }
  s->filled[s->filled_count++] = f;
}

// Those that are found in there come last, and are looked into as well.
static void look_into_all(search *s) {
  for (uint32_t i = 1; i < s->graph.count; i++) {
    gr_vertex v = s->graph.vertices[i];
    if (!v.is_channel || v.is_reached)
      continue;
    filled f = {(gr_channel *)v.address, i, v.edges};
    gr_lock_lock(&f.channel->lock);
    look_into_locked(s, f.channel, i);
    gr_lock_unlock(&f.channel->lock);
    if (s->graph.vertices[i].edges != v.edges)
      add_filled(s, f);
  }
}

// False when out of memory.
static bool make_graph(search *s) {
  add_goroutines(s);
  for (uint32_t i = 1; i <= s->count && !s->graph.has_failed; i++)
    if (!s->graph.vertices[i].is_reached)
      add_wait_of(s, s->all[i - 1], i);
  gr_reach_spread(&s->graph); // what these have needs no looking at
  for (uint32_t i = 1; i <= s->count && !s->graph.has_failed; i++) {
    s->from = i;
    if (!s->graph.vertices[i].is_reached)
      add_handles_of(s, s->all[i - 1]);
  }
  if (!s->graph.has_failed)
    look_into_all(s);
  return !s->graph.has_failed;
}

// --- who is reached ---

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t)((const filled *)a)->channel;
  uintptr_t y = (uintptr_t)((const filled *)b)->channel;
  return (x > y) - (x < y);
}

// Leaves those that are not reached, and to be locked, in order.
static void pick_filled(search *s) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < s->filled_count; i++) {
    if (s->graph.vertices[s->filled[i].vertex].is_reached)
      continue;
    if (count < LOCKS_MAX)
      s->filled[count++] = s->filled[i];
    else
      gr_reach_mark(&s->graph, s->filled[i].vertex);
  }
  s->filled_count = count;
  if (count > 0)
    qsort(s->filled, count, sizeof *s->filled, by_address);
}

// Nobody takes a message out of the channels now.
static void solve_locked(search *s) {
  s->is_again = true;
  for (uint32_t i = 0; i < s->filled_count; i++) {
    filled *f = &s->filled[i];
    s->graph.vertices[f->vertex].edges = f->edges;
    look_into_locked(s, f->channel, f->vertex);
  }
  gr_reach_solve(&s->graph);
}

// After the counts have been read: whoever ended a wait had a reference.
static void mark_ended(search *s) {
  for (uint32_t i = 1; i <= s->count; i++)
    if (!s->graph.vertices[i].is_reached && !is_open(s->all[i - 1]))
      gr_reach_mark(&s->graph, i);
  gr_reach_spread(&s->graph);
}

// False when out of memory.
static bool solve(search *s) {
  gr_reach_solve(&s->graph);
  pick_filled(s);
  for (uint32_t i = 0; i < s->filled_count; i++)
    gr_lock_lock(&s->filled[i].channel->lock);
  if (s->filled_count > 0)
    solve_locked(s);
  mark_ended(s);
  for (uint32_t i = 0; i < s->filled_count; i++)
    gr_lock_unlock(&s->filled[i].channel->lock);
  return !s->graph.has_failed;
}

// --- all of it ---

static int by_id(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static gr_leaks result_of(const search *s) {
  gr_leaks leaks = {0};
  for (uint32_t i = 1; i <= s->count; i++)
    leaks.count += !s->graph.vertices[i].is_reached;
  leaks.ids = malloc((leaks.count + 1) * sizeof *leaks.ids);
  if (!leaks.ids)
    return (gr_leaks){0};
  size_t n = 0;
  for (uint32_t i = 1; i <= s->count; i++)
    if (!s->graph.vertices[i].is_reached)
      leaks.ids[n++] = s->all[i - 1]->id;
  qsort(leaks.ids, n, sizeof *leaks.ids, by_id);
  return leaks;
}

// It may be the last who has a channel.
static void release_all(search *s) {
  for (uint32_t i = 1; i < s->graph.count; i++)
    if (s->graph.vertices[i].is_retained)
      gr_channel_release((gr_channel *)s->graph.vertices[i].address);
}

gr_leaks gr_leaks_find(const gr_handle_type *channel_type) {
  search s = {.channel_type = channel_type};
  gr_leaks leaks = {0};
  gr_lock_lock(&one_search);
  if (hold(&s)) {
    if (make_graph(&s) && solve(&s))
      leaks = result_of(&s);
    let_go(&s);
  }
  gr_lock_unlock(&one_search);
  release_all(&s);
  gr_reach_fini(&s.graph);
  free(s.all);
  free(s.filled);
  return leaks;
}

bool gr_leaks_has(const gr_leaks *leaks, uint64_t id) {
  return leaks->count &&
         bsearch(&id, leaks->ids, leaks->count, sizeof id, by_id);
}
