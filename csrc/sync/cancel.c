// SPDX-License-Identifier: MIT
// One lock guards the tree of scopes: it is held for as long as a scope has
// members, but only where there are scopes.
//
// Whoever cancels and a goroutine that goes to wait:
//
//   canceller:  set the flag,  membarrier,  look whether it has opened a wait
//   goroutine:  open the wait, [barrier],   look at the flag (park.c)
//
// One of the two sees the other, and ends the wait by the claim.
#include "sync/cancel.h"

#include <stdlib.h>

#include "sched/barrier.h"
#include "sched/monitor.h"
#include "sched/sched.h"
#include "sync/waiter.h"

static gr_lock tree = GR_LOCK_STATIC(GR_RANK_LEAF);

static void cancellation_fini(void *object) {
  gr_block_release(((gr_cancellation *)object)->reason);
}

gr_cancellation *gr_cancellation_new(gr_block *reason) {
  gr_cancellation *why = gr_object_new(sizeof *why, cancellation_fini);
  if (why)
    why->reason = reason;
  return why;
}

static gr_cancellation *retain(gr_cancellation *why) {
  gr_object_retain(why);
  return why;
}

// --- scopes ---

// Nobody is in it any more, nor can anybody come: its alarm would be in vain.
static void drop_unused(gr_cancel_scope *scope) {
  gr_lock_lock(&tree);
  bool used =
      !gr_list_is_empty(&scope->members) || !gr_list_is_empty(&scope->children);
  gr_lock_unlock(&tree);
  if (!used && gr_deadline_clear(&scope->alarm))
    gr_object_release(scope);
}

static void scope_fini(void *object) {
  gr_cancel_scope *scope = object;
  gr_lock_lock(&tree);
  gr_list_remove(&scope->sibling);
  gr_lock_unlock(&tree);
  if (scope->why)
    gr_object_release(scope->why);
  if (scope->own)
    gr_object_release(scope->own);
  if (!scope->parent)
    return;
  drop_unused(scope->parent);
  gr_object_release(scope->parent);
}

static void hold(gr_deadline *alarm) {
  (void)alarm; // it has a reference, which fire lets go
}

static void fire(gr_deadline *alarm, uint64_t now_ns);
static const gr_alarm_type alarm_type = {hold, fire};

static bool set_alarm(gr_cancel_scope *scope, uint64_t deadline_ns) {
  gr_processor *p =
      atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
  scope->alarm.type = &alarm_type;
  gr_object_retain(scope);
  if (!gr_deadline_set(&p->deadlines, &scope->alarm, deadline_ns)) {
    gr_object_release(scope);
    return false;
  }
  gr_monitor_watch(p);
  return true;
}

gr_cancel_scope *gr_cancel_scope_new(gr_cancel_scope *parent,
                                     uint64_t deadline_ns) {
  gr_cancel_scope *scope = gr_object_new(sizeof *scope, scope_fini);
  if (!scope)
    return NULL;
  gr_link_init(&scope->sibling);
  gr_list_init(&scope->children);
  gr_list_init(&scope->members);
  scope->own = gr_cancellation_new(NULL);
  if (!scope->own) {
    gr_object_release(scope);
    return NULL;
  }
  if (parent) {
    gr_object_retain(parent);
    scope->parent = parent;
    gr_lock_lock(&tree);
    gr_list_push(&parent->children, &scope->sibling);
    gr_lock_unlock(&tree);
  }
  scope->deadline_ns = deadline_ns;
  if (deadline_ns == GR_POLL) {
    scope->why = retain(scope->own);
  } else if (deadline_ns != GR_NEVER && !set_alarm(scope, deadline_ns)) {
    gr_object_release(scope);
    return NULL;
  }
  return scope;
}

// The innermost cancelled one of those from `scope` on outwards, or NULL.
static gr_cancel_scope *find_cancelled(gr_cancel_scope *scope) {
  while (scope && !scope->why)
    scope = scope->parent;
  return scope;
}

void gr_cancel_enter(gr_goroutine *g, gr_cancel_scope *scope) {
  gr_cancel_scope *left = g->scope;
  gr_task *task = g->owner;
  if (left == scope)
    return;
  if (scope)
    gr_object_retain(scope);
  gr_lock_lock(&tree);
  if (left)
    gr_list_remove(&g->scope_link);
  if (scope)
    gr_list_push(&scope->members, &g->scope_link);
  g->scope = scope;
  if (task->why || find_cancelled(scope))
    atomic_fetch_or(&g->struck, GR_STRUCK_CANCEL);
  else
    atomic_fetch_and(&g->struck, ~(unsigned)GR_STRUCK_CANCEL);
  gr_lock_unlock(&tree);
  if (!left)
    return;
  drop_unused(left);
  gr_object_release(left);
}

// --- cancelling ---

// The next one of the tree below `root`, which comes first itself.
static gr_cancel_scope *next_below(gr_cancel_scope *root, gr_cancel_scope *at) {
  gr_link *link = gr_list_first(&at->children);
  if (link)
    return GR_CONTAINER(link, gr_cancel_scope, sibling);
  for (; at != root; at = at->parent) {
    link = at->sibling.next;
    if (link != &at->parent->children.head)
      return GR_CONTAINER(link, gr_cancel_scope, sibling);
  }
  return NULL;
}

// A wait that ignores what was before this sees that there is more.
static void strike(gr_goroutine *g) {
  atomic_fetch_or(&g->struck, GR_STRUCK_CANCEL);
  atomic_fetch_add(&g->struck, GR_STRUCK_ONCE);
}

static void strike_members(gr_cancel_scope *scope) {
  gr_list *all = &scope->members;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next)
    strike(GR_CONTAINER(at, gr_goroutine, scope_link));
}

static void end_waits_of_members(gr_cancel_scope *scope, gr_woken *woken) {
  gr_list *all = &scope->members;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, scope_link);
    if (gr_wait_cancel(g))
      gr_woken_add(woken, g);
  }
}

static void cancel_locked(gr_cancel_scope *scope, gr_cancellation *why,
                          gr_woken *woken) {
  scope->why = retain(why);
  for (gr_cancel_scope *at = scope; at; at = next_below(scope, at))
    strike_members(at);
  gr_barrier_everywhere();
  for (gr_cancel_scope *at = scope; at; at = next_below(scope, at))
    end_waits_of_members(at, woken);
}

bool gr_cancel_all(gr_cancel_scope *scope, gr_cancellation *why) {
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&tree);
  bool first = !find_cancelled(scope);
  if (first)
    cancel_locked(scope, why, &woken);
  gr_lock_unlock(&tree);
  gr_woken_ready(&woken);
  return first;
}

// Also where one around it was cancelled before, for that may be held back.
static void expire(gr_cancel_scope *scope) {
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&tree);
  if (!scope->why)
    cancel_locked(scope, scope->own, &woken);
  gr_lock_unlock(&tree);
  gr_woken_ready(&woken);
}

static void fire(gr_deadline *alarm, uint64_t now_ns) {
  (void)now_ns;
  gr_cancel_scope *scope = GR_CONTAINER(alarm, gr_cancel_scope, alarm);
  expire(scope);
  gr_object_release(scope);
}

// The task is locked, which keeps its goroutine; it is unlocked.
static void end_wait_locked(gr_task *task) {
  gr_goroutine *g = task->g;
  gr_barrier_everywhere();
  bool woken = gr_wait_cancel(g);
  gr_lock_unlock(&task->lock);
  if (woken)
    gr_ready(g);
}

bool gr_cancel_task(gr_task *task, gr_cancellation *why) {
  gr_lock_lock(&task->lock);
  if (!task->g) {
    gr_lock_unlock(&task->lock);
    return false;
  }
  gr_lock_lock(&tree);
  if (!task->why)
    task->why = retain(why);
  strike(task->g);
  gr_lock_unlock(&tree);
  end_wait_locked(task);
  return true;
}

void gr_cancel_wake(gr_task *task) {
  gr_lock_lock(&task->lock);
  if (!task->g) {
    gr_lock_unlock(&task->lock);
    return;
  }
  atomic_fetch_add(&task->g->struck, GR_STRUCK_ONCE);
  end_wait_locked(task);
}

// --- asking ---

bool gr_cancel_is_cancelled(gr_cancel_scope *scope) {
  gr_lock_lock(&tree);
  bool is = find_cancelled(scope) != NULL;
  gr_lock_unlock(&tree);
  return is;
}

// Of scopes from `at` on outwards, up to `count`: the outermost reason.
static gr_cancellation *outermost_locked(gr_cancel_scope *at, unsigned count) {
  gr_cancellation *why = NULL;
  for (; at && count > 0; at = at->parent, count--)
    if (at->why)
      why = at->why;
  return why;
}

// One that is cancelled itself was so before those around it.
gr_cancellation *gr_cancel_why(gr_cancel_scope *scope) {
  gr_lock_lock(&tree);
  gr_cancellation *why =
      scope->why ? scope->why : outermost_locked(scope, GR_ALL_SCOPES);
  if (why)
    retain(why);
  gr_lock_unlock(&tree);
  return why;
}

gr_cancellation *gr_cancel_reason(gr_goroutine *g, unsigned from, unsigned to) {
  gr_lock_lock(&tree);
  gr_cancellation *why = NULL;
  if (to == GR_ALL_SCOPES && from < to)
    why = ((gr_task *)g->owner)->why;
  gr_cancel_scope *at = g->scope;
  for (unsigned n = 0; n < from && at; n++)
    at = at->parent;
  if (!why)
    why = outermost_locked(at, to - from);
  if (why)
    retain(why);
  gr_lock_unlock(&tree);
  return why;
}

bool gr_cancel_scope_within(gr_goroutine *g, unsigned reach,
                            gr_cancel_scope **scope) {
  uint64_t deadline_ns = GR_NEVER;
  gr_cancel_scope *outer = g->scope, *open, *cancelled;
  for (unsigned n = 0; n < reach && outer; n++, outer = outer->parent)
    if (outer->deadline_ns < deadline_ns)
      deadline_ns = outer->deadline_ns;
  gr_lock_lock(&tree);
  for (open = outer; (cancelled = find_cancelled(open));)
    open = cancelled->parent;
  gr_lock_unlock(&tree);
  *scope = open == outer ? g->scope : open;
  if (open == outer || deadline_ns == GR_NEVER) {
    if (*scope)
      gr_object_retain(*scope);
    return true;
  }
  // One beside those that are held back, with the deadlines of those that are
  // not.
  *scope = gr_cancel_scope_new(open, deadline_ns <= gr_now_ns() ? GR_POLL
                                                                : deadline_ns);
  return *scope != NULL;
}
