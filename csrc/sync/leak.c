// SPDX-License-Identifier: MIT
// All goroutines that wait are kept from running (see examine.h), and those
// without a timeout are taken for leaked. Then whoever waits on something that
// may still be used by others is taken out, over and over until nobody is:
//
//   a channel  is used by others if it has more references than goroutines in
//              question that wait on it (each has one at least, its handle), or
//              if others wait on it; or if a timer sends to it
//   a task     ends unless its goroutine is in question itself
//   an object  (a mutex, a map, ...) as a channel, but without its queue:
//   nobody
//              has more references, and after that has been seen, no wait has
//              been ended by somebody who had
//
// What is true of a leaked goroutine stays so, for nobody can reach what it
// waits on; so it does not matter that the others go on meanwhile.
#include "sync/leak.h"

#include <stdlib.h>

#include "sched/barrier.h"
#include "sched/examine.h"
#include "sched/sched.h"
#include "sync/map.h"
#include "sync/select.h"
#include "sync/task.h"

// A goroutine in question waits on an object.
typedef struct wait {
  const void *object; // NULL: on nothing at all
  uint32_t index;     // of the goroutine
  enum { ON_CHANNEL, ON_TASK, ON_OBJECT } kind;
} wait;

typedef struct search {
  gr_goroutine **all; // that are kept from running; by address
  bool *in_question;
  uint32_t count, room;
  wait *waits; // by object, then by goroutine
  size_t wait_count, wait_room;
} search;

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

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t) * (gr_goroutine *const *)a;
  uintptr_t y = (uintptr_t) * (gr_goroutine *const *)b;
  return (x > y) - (x < y);
}

static gr_goroutine **find(const search *s, gr_goroutine *g) {
  return bsearch(&g, s->all, s->count, sizeof(gr_goroutine *), by_address);
}

// --- on what ---

static bool add_wait(search *s, const void *object, uint32_t index, int kind) {
  if (s->wait_count == s->wait_room) {
    size_t room = s->wait_room * 2 + 64;
    wait *waits = realloc(s->waits, room * sizeof *waits);
    if (!waits)
      return false;
    s->waits = waits;
    s->wait_room = room;
  }
  s->waits[s->wait_count++] = (wait){object, index, kind};
  return true;
}

static bool add_cases(search *s, const gr_case *c, uint32_t index) {
  for (;; c++) {
    if (c->channel && !add_wait(s, c->channel, index, ON_CHANNEL))
      return false;
    if (c->is_last)
      return true;
  }
}

static bool is_open(gr_goroutine *g) {
  return (atomic_load(&g->claim) & GR_CLAIM_MASK) == GR_CLAIM_OPEN;
}

// False when out of memory.
static bool add_waits_of(search *s, uint32_t index) {
  gr_goroutine *g = s->all[index];
  if (!is_waiting(g) || !is_open(g) || g->wait_is_timed)
    return true;
  s->in_question[index] = true;
  switch (g->wait_kind) {
  case GR_WAIT_SEND:
  case GR_WAIT_RECV:
    return add_wait(s, g->wait_object, index, ON_CHANNEL);
  case GR_WAIT_SELECT:
    return add_cases(s, g->wait_object, index);
  case GR_WAIT_JOIN:
    return add_wait(s, g->wait_object, index, ON_TASK);
  case GR_WAIT_MUTEX:
  case GR_WAIT_RLOCK:
  case GR_WAIT_WLOCK:
  case GR_WAIT_GROUP:
  case GR_WAIT_ONCE:
  case GR_WAIT_COND:
  case GR_WAIT_SEMAPHORE:
  case GR_WAIT_BARRIER:
    return add_wait(s, g->wait_object, index, ON_OBJECT);
  case GR_WAIT_MAP:
    return add_wait(s, ((const gr_map_entry *)g->wait_object)->map, index,
                    ON_OBJECT);
  case GR_WAIT_SELECT_NONE:
    return true;
  default:
    s->in_question[index] = false;
    return true;
  }
}

static int by_object(const void *a, const void *b) {
  const wait *x = a, *y = b;
  uintptr_t p = (uintptr_t)x->object, q = (uintptr_t)y->object;
  if (p != q)
    return p > q ? 1 : -1;
  return (x->index > y->index) - (x->index < y->index);
}

static bool add_waits(search *s) {
  s->in_question = calloc(s->count + 1, sizeof *s->in_question);
  if (!s->in_question)
    return false;
  qsort(s->all, s->count, sizeof(gr_goroutine *), by_address);
  for (uint32_t i = 0; i < s->count; i++)
    if (!add_waits_of(s, i))
      return false;
  if (s->wait_count > 0)
    qsort(s->waits, s->wait_count, sizeof *s->waits, by_object);
  return true;
}

// --- who may go on ---

static size_t length(const gr_list *list) {
  size_t n = 0;
  for (gr_link *at = list->head.next; at != &list->head; at = at->next)
    n++;
  return n;
}

static bool is_used(search *s, size_t first, size_t end) {
  gr_object *object = (gr_object *)s->waits[first].object;
  if (atomic_load(&object->refs.count) > end - first)
    return true;
  for (size_t i = first; i < end; i++)
    if (!s->in_question[s->waits[i].index] ||
        !is_open(s->all[s->waits[i].index]))
      return true;
  return false;
}

// The waits on the channel are those from `first` up to `end`.
static bool has_other_users(search *s, size_t first, size_t end) {
  gr_channel *c = (gr_channel *)s->waits[first].object;
  unsigned holders = 0;
  for (size_t i = first; i < end; i++) {
    if (!s->in_question[s->waits[i].index])
      return true;
    holders += i == first || s->waits[i].index != s->waits[i - 1].index;
  }
  gr_lock_lock(&c->lock);
  bool has = c->on_free || atomic_load(&c->refs.count) > holders ||
             length(&c->receivers) + length(&c->senders) != end - first;
  gr_lock_unlock(&c->lock);
  return has;
}

static bool may_end(search *s, gr_task *task) {
  gr_lock_lock(&task->lock);
  gr_goroutine **at = task->g ? find(s, task->g) : NULL;
  gr_lock_unlock(&task->lock);
  return !at || !s->in_question[at - s->all];
}

// Takes out who waits on what is used by others. True if somebody was.
static bool take_out(search *s) {
  bool any = false;
  for (size_t first = 0, end; first < s->wait_count; first = end) {
    const wait *w = &s->waits[first];
    for (end = first; end < s->wait_count && s->waits[end].object == w->object;)
      end++;
    bool used = w->kind == ON_TASK     ? may_end(s, (gr_task *)w->object)
                : w->kind == ON_OBJECT ? is_used(s, first, end)
                                       : has_other_users(s, first, end);
    for (size_t i = first; used && i < end; i++) {
      any |= s->in_question[s->waits[i].index];
      s->in_question[s->waits[i].index] = false;
    }
  }
  return any;
}

// --- all of it ---

static int by_id(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static gr_leaks result_of(const search *s) {
  gr_leaks leaks = {0};
  for (uint32_t i = 0; i < s->count; i++)
    leaks.count += s->in_question[i];
  leaks.ids = malloc((leaks.count + 1) * sizeof *leaks.ids);
  if (!leaks.ids)
    return (gr_leaks){0};
  size_t n = 0;
  for (uint32_t i = 0; i < s->count; i++)
    if (s->in_question[i])
      leaks.ids[n++] = s->all[i]->id;
  qsort(leaks.ids, n, sizeof *leaks.ids, by_id);
  return leaks;
}

gr_leaks gr_leaks_find(void) {
  search s = {0};
  gr_leaks leaks = {0};
  if (hold(&s)) {
    if (add_waits(&s)) {
      while (take_out(&s))
        ;
      leaks = result_of(&s);
    }
    let_go(&s);
  }
  free(s.all);
  free(s.in_question);
  free(s.waits);
  return leaks;
}

bool gr_leaks_has(const gr_leaks *leaks, uint64_t id) {
  return leaks->count &&
         bsearch(&id, leaks->ids, leaks->count, sizeof id, by_id);
}
