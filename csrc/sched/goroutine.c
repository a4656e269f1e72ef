// SPDX-License-Identifier: MIT
#include "sched/goroutine.h"

#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "sched/sched.h"

static gr_cache goroutines =
    GR_CACHE(GR_SHELF_GOROUTINES, sizeof(gr_goroutine) + GR_LINE_BYTES, 16384);

// All zero; begins a cache line. That is found by hand: aligned_alloc leaves
// small blocks behind, and to merge them again took a twentieth of the time of
// a burst.
static gr_goroutine *make(void) {
  char *block = gr_cache_get(&goroutines);
  if (!block)
    return NULL;
  char *line = block + (-(uintptr_t)block & (GR_LINE_BYTES - 1));
  gr_goroutine *g = memset(line, 0, sizeof *g);
  g->block = block;
  return g;
}

static void begin(void *arg) {
  gr_goroutine *g = arg;
  g->entry(g);
}

static void enlist(gr_goroutine *g, gr_family *family) {
  gr_link_init(&g->scope_link);
  g->id = atomic_fetch_add(&gr_the_sched.last_id, 1) + 1;
  g->family = family;
  gr_lock_lock(&gr_the_sched.lock);
  gr_family_add_locked(family, g);
  gr_lock_unlock(&gr_the_sched.lock);
}

gr_goroutine *gr_goroutine_new(void (*entry)(gr_goroutine *g), void *owner,
                               gr_family *family) {
  gr_goroutine *g = make();
  if (!g || !gr_stack_reserve()) {
    if (g)
      gr_cache_put(&goroutines, g->block);
    return NULL;
  }
  g->entry = entry;
  g->owner = owner;
  atomic_init(&g->status, GR_WAITING); // for gr_start
  atomic_init(&g->claim, GR_CLAIM_OBJECT);
  atomic_init(&g->computed_since, GR_NEW);
  enlist(g, family);
  return g;
}

void gr_goroutine_prepare(gr_goroutine *g) {
  gr_stack *stack = g->stack = gr_stack_take();
  g->watched = gr_stack_watched(stack);
  // The header lies at the stack's end.
  gr_context_init(&g->context, stack->base,
                  (size_t)((char *)stack - stack->base), begin, g);
}

gr_goroutine *gr_goroutine_new_main(void) {
  gr_goroutine *g = make();
  gr_family *family = g ? gr_family_new() : NULL;
  if (!family) {
    if (g)
      gr_cache_put(&goroutines, g->block);
    return NULL;
  }
  g->is_main = true;
  atomic_init(&g->status, GR_RUNNING);
  atomic_init(&g->claim, GR_CLAIM_OBJECT);
  atomic_init(&g->computed_since, GR_NEW);
  gr_context_init_thread(&g->context);
  enlist(g, family);
  return g;
}

void gr_goroutine_free_main(gr_goroutine *main) {
  free(main->block);
}

// --- the last one ---

static bool is_last_locked(gr_family *f) {
  gr_list *all = &f->goroutines;
  return all->head.next->next == &all->head;
}

// Claims the main that waits to be the last, if it is.
static gr_goroutine *claim_last_locked(gr_family *f) {
  gr_goroutine *g = f->waits_for_others;
  unsigned ticket = g ? atomic_load(&g->claim) : 0;
  if (!g || !is_last_locked(f) || (ticket & GR_CLAIM_MASK) != GR_CLAIM_OPEN)
    return NULL;
  f->waits_for_others = NULL;
  return gr_wait_claim(g, ticket, GR_CLAIM_OBJECT) ? g : NULL;
}

static void commit_wait(gr_goroutine *g, void *arg) {
  (void)arg;
  gr_lock_lock(&gr_the_sched.lock);
  g->family->waits_for_others = g;
  gr_goroutine *last = claim_last_locked(g->family);
  gr_lock_unlock(&gr_the_sched.lock);
  if (last)
    gr_ready(last);
}

bool gr_wait_for_others(void) {
  gr_goroutine *g = gr_self();
  for (;;) { // a cancellation may wake it earlier
    gr_wait_ignore_cancel();
    gr_wait_open(g);
    gr_park(GR_WAIT_OTHERS, NULL, GR_NEVER, commit_wait, NULL);
    if (gr_wait_reason(g) != GR_CLAIM_CANCEL)
      return gr_wait_reason(g) == GR_CLAIM_OBJECT;
    gr_lock_lock(&gr_the_sched.lock);
    g->family->waits_for_others = NULL; // only while it is parked
    gr_lock_unlock(&gr_the_sched.lock);
  }
}

void gr_goroutine_delist(gr_goroutine *g) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_family_remove_locked(g->family, g);
  gr_goroutine *last = claim_last_locked(g->family);
  gr_lock_unlock(&gr_the_sched.lock);
  if (last)
    gr_ready(last);
}

void gr_goroutine_free(gr_goroutine *g) {
  gr_goroutine_delist(g);
  if (g->stack) {
    gr_context_fini(&g->context);
    gr_stack_free(g->stack);
  } else if (!g->is_main) {
    gr_stack_unreserve();
  }
  gr_cache_put(&goroutines, g->block);
}

gr_status gr_wait_status(gr_goroutine *g) {
  switch (gr_wait_reason(g)) {
  case GR_CLAIM_TIMEOUT:
    return GR_TIMEOUT;
  case GR_CLAIM_NOMEM:
    return GR_NOMEM;
  case GR_CLAIM_DEADLOCK:
    return GR_DEADLOCK;
  case GR_CLAIM_STOPPED:
    return GR_STOPPED;
  case GR_CLAIM_INTERRUPT:
    return GR_INTERRUPTED;
  case GR_CLAIM_CANCEL:
    return GR_CANCELLED;
  default:
    return GR_OK;
  }
}
