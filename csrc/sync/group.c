// SPDX-License-Identifier: MIT
// Nothing is released under the lock: a task may be the last reference to what
// its outcome holds, and its failure be told then.
#include "sync/group.h"

#include <stdlib.h>

#include "sched/sched.h"

struct gr_member {
  gr_group *group; // with a reference while it is alive
  gr_task *task;   // with a reference; NULL: a place
  gr_link in_round, in_ended;
};

// A wait for all, or for one that has ended: what to tell, which who ends the
// wait fills in.
typedef struct wait {
  gr_waiter self;
  bool closes;
  gr_group_outcome outcome;
  gr_task *taken; // with a reference
} wait;

// --- making and freeing ---

// It is in no list; or there is none: NULL.
static void drop_member(gr_member *m) {
  if (!m)
    return;
  gr_task_release(m->task);
  free(m);
}

static void drop_members(gr_list *members) {
  gr_link *link;
  while ((link = gr_list_pop(members)))
    drop_member(GR_CONTAINER(link, gr_member, in_round));
}

static void fini(void *object) {
  gr_group *group = object;
  GR_ASSERT(atomic_load(&group->alive) == 0);
  drop_members(&group->members);
  if (group->scope)
    gr_object_release(group->scope);
  if (group->why)
    gr_object_release(group->why);
}

gr_group *gr_group_new(gr_cancel_scope *parent, uint32_t limit, bool collects,
                       gr_group_keep keep) {
  gr_cancel_scope *scope = gr_cancel_scope_new(parent, GR_NEVER);
  if (!scope)
    return NULL;
  gr_group *group = gr_object_new(sizeof *group, fini);
  if (!group) {
    gr_object_release(scope);
    return NULL;
  }
  group->limit = limit;
  group->collects = collects;
  group->keep = keep;
  group->scope = scope;
  gr_lock_init(&group->lock, GR_RANK_SYNC);
  gr_list_init(&group->members);
  gr_list_init(&group->ended);
  gr_list_init(&group->spawners);
  gr_list_init(&group->waiters);
  gr_list_init(&group->takers);
  return group;
}

// --- rounds ---

static uint32_t alive_locked(const gr_group *group) {
  return atomic_load_explicit(&group->alive, memory_order_relaxed);
}

static void set_alive_locked(gr_group *group, uint32_t alive) {
  atomic_store_explicit(&group->alive, alive, memory_order_relaxed);
}

// How the round has gone up to now.
static gr_group_outcome outcome_locked(gr_group *group) {
  gr_group_outcome outcome = {NULL, NULL};
  if (group->failed) {
    gr_task_retain(group->failed);
    outcome.failed = group->failed;
  } else if (group->scope && !group->is_stale) {
    outcome.why = gr_cancel_why(group->scope);
  } else if (group->why && !group->is_stale) {
    gr_object_retain(group->why);
    outcome.why = group->why;
  }
  return outcome;
}

// It has been told how it went.
static void end_round_locked(gr_group *group) {
  group->is_over = true;
  group->failed = NULL;
  if (!group->scope || gr_cancel_is_cancelled(group->scope))
    group->is_stale = true;
}

// Puts what was in the round before into the list.
static void begin_round_locked(gr_group *group, gr_list *old) {
  gr_link *link;
  while ((link = gr_list_pop(&group->members)))
    gr_list_push(old, link);
  gr_list_init(&group->ended);
  group->round++;
  group->is_over = false;
}

// Puts a scope of its own in the place of the one that was cancelled. False
// when out of memory.
static bool renew_scope(gr_group *group, gr_cancel_scope *stale) {
  gr_cancel_scope *fresh = gr_cancel_scope_new(stale->parent, GR_NEVER);
  if (!fresh)
    return false;
  gr_cancel_scope *left = fresh;
  gr_lock_lock(&group->lock);
  if (group->scope == stale) {
    left = stale;
    group->scope = fresh;
    group->is_stale = false;
  }
  gr_lock_unlock(&group->lock);
  gr_object_release(left);
  return true;
}

// Locks the group, whose scope is then that of the present or next round. False
// when out of memory: it is not locked.
static bool lock_renewed(gr_group *group) {
  gr_lock_lock(&group->lock);
  while (group->is_stale && group->scope) {
    gr_cancel_scope *stale = group->scope;
    gr_object_retain(stale);
    gr_lock_unlock(&group->lock);
    bool done = renew_scope(group, stale);
    gr_object_release(stale);
    if (!done)
      return false;
    gr_lock_lock(&group->lock);
  }
  return true;
}

// --- who leaves ---

static void tell_waiters_locked(gr_group *group, gr_woken *woken) {
  gr_waiter *w;
  bool told = false;
  while ((w = gr_waiter_pop(&group->waiters))) {
    wait *one = GR_CONTAINER(w, wait, self);
    if (one->closes) {
      group->is_closed = true;
    } else {
      one->outcome = outcome_locked(group);
      told = true;
    }
    gr_woken_add(woken, w->g);
  }
  if (told)
    end_round_locked(group);
}

// A place is free: it goes to who has waited longest, or there is one less.
static void leave_locked(gr_group *group, gr_woken *woken) {
  gr_waiter *w = gr_waiter_pop(&group->spawners);
  if (w) {
    gr_woken_add(woken, w->g);
    return;
  }
  set_alive_locked(group, alive_locked(group) - 1);
  if (alive_locked(group) > 0)
    return;
  gr_woken_add_all(woken, &group->takers);
  tell_waiters_locked(group, woken);
}

// Nobody asks for a member any more that has ended: takes it out, for the
// caller to drop; or keeps it: NULL.
static gr_member *let_go_locked(gr_group *group, gr_member *m) {
  if (group->keep == GR_KEEP_ALL || m->task == group->failed)
    return NULL;
  gr_list_remove(&m->in_round);
  return m;
}

// Gives one that has ended to who has waited longest for it, or keeps it. What
// is to be dropped, or NULL.
static gr_member *put_ended_locked(gr_member *m, gr_woken *woken) {
  gr_group *group = m->group;
  if (group->keep == GR_KEEP_NONE)
    return let_go_locked(group, m);
  gr_waiter *w = gr_waiter_pop(&group->takers);
  if (!w) {
    gr_list_push(&group->ended, &m->in_ended);
    return NULL;
  }
  gr_task_retain(m->task);
  GR_CONTAINER(w, wait, self)->taken = m->task;
  gr_woken_add(woken, w->g);
  return let_go_locked(group, m);
}

// If it is the first failure of the round, and nobody has cancelled that. The
// scope to be cancelled, with a reference, or NULL.
static gr_cancel_scope *note_failure(gr_group *group, gr_task *task) {
  gr_cancel_scope *scope = NULL;
  gr_lock_lock(&group->lock);
  if (!group->failed && !gr_cancel_is_cancelled(group->scope)) {
    group->failed = task;
    if (!group->collects) {
      scope = group->scope;
      gr_object_retain(scope);
    }
  }
  gr_lock_unlock(&group->lock);
  return scope;
}

// On a scheduler's stack: its goroutine is gone.
static void member_ended(void *arg) {
  gr_member *m = arg;
  gr_group *group = m->group;
  gr_cancel_scope *scope = NULL;
  if (m->task->state != GR_TASK_DONE)
    scope = note_failure(group, m->task);
  if (scope) {
    gr_cancel_all(scope, scope->own);
    gr_object_release(scope);
  }
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&group->lock);
  gr_member *dropped = put_ended_locked(m, &woken);
  leave_locked(group, &woken); // `m`, if it is kept, may be freed from now on
  gr_lock_unlock(&group->lock);
  gr_woken_ready(&woken);
  drop_member(dropped);
  gr_object_release(group);
}

// --- who comes ---

// Waits for a place, if there is none. Unlocks the group.
static gr_status take_place_locked(gr_group *group) {
  uint32_t alive = alive_locked(group);
  if (group->limit == 0 || alive < group->limit) {
    set_alive_locked(group, alive + 1);
    gr_lock_unlock(&group->lock);
    return GR_OK;
  }
  gr_waiter self;
  gr_waiting waiting = {.lock = &group->lock,
                        .queue = &group->spawners,
                        .kind = GR_WAIT_PLACE,
                        .object = group,
                        .deadline_ns = GR_NEVER};
  if (gr_waiter_park(&self, &waiting))
    return GR_OK;
  gr_lock_unlock(&group->lock);
  return gr_wait_status(gr_self());
}

static gr_status reserve(gr_group *group) {
  gr_list old;
  gr_list_init(&old);
  if (!lock_renewed(group))
    return GR_NOMEM;
  if (group->is_closed) {
    gr_lock_unlock(&group->lock);
    return GR_CLOSED;
  }
  if (group->is_over)
    begin_round_locked(group, &old);
  gr_status status = take_place_locked(group);
  drop_members(&old);
  return status;
}

gr_status gr_group_reserve(gr_group *group, gr_member **place) {
  gr_member *m = calloc(1, sizeof *m);
  if (!m)
    return GR_NOMEM;
  gr_status status = reserve(group);
  if (status != GR_OK) {
    free(m);
    return status;
  }
  gr_link_init(&m->in_round);
  gr_link_init(&m->in_ended);
  gr_object_retain(group);
  m->group = group;
  *place = m;
  return GR_OK;
}

void gr_group_unreserve(gr_member *m) {
  gr_group *group = m->group;
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&group->lock);
  leave_locked(group, &woken);
  gr_lock_unlock(&group->lock);
  gr_woken_ready(&woken);
  gr_object_release(group);
  free(m);
}

void gr_group_add(gr_member *m, gr_goroutine *g, gr_task *task) {
  gr_group *group = m->group;
  gr_task_retain(task);
  m->task = task;
  task->on_end = member_ended;
  task->on_end_arg = m;
  gr_lock_lock(&group->lock);
  gr_list_push(&group->members, &m->in_round);
  gr_cancel_scope *scope = group->scope; // stays while one is alive
  gr_lock_unlock(&group->lock);
  gr_cancel_enter(g, scope);
}

// --- who waits ---

// The group is locked. True if the object has ended the wait; it is not locked
// in either case.
static bool park_locked(gr_group *group, wait *one, gr_list *queue,
                        uint64_t deadline_ns) {
  gr_waiting waiting = {.lock = &group->lock,
                        .queue = queue,
                        .kind = GR_WAIT_TASKS,
                        .object = group,
                        .deadline_ns = deadline_ns};
  if (gr_waiter_park(&one->self, &waiting))
    return true;
  gr_lock_unlock(&group->lock);
  return false;
}

gr_status gr_group_wait(gr_group *group, uint64_t deadline_ns,
                        gr_group_outcome *outcome) {
  wait one = {.closes = false};
  gr_lock_lock(&group->lock);
  if (alive_locked(group) == 0) {
    *outcome = outcome_locked(group);
    end_round_locked(group);
    gr_lock_unlock(&group->lock);
    return GR_OK;
  }
  if (deadline_ns == GR_POLL) {
    gr_lock_unlock(&group->lock);
    return GR_TIMEOUT;
  }
  if (!park_locked(group, &one, &group->waiters, deadline_ns))
    return gr_wait_status(gr_self());
  *outcome = one.outcome;
  return GR_OK;
}

// A scope with a deadline that the group was made in need not wait for it.
static void drop_scope(gr_group *group) {
  gr_lock_lock(&group->lock);
  gr_cancel_scope *scope = group->scope;
  if (scope && !group->is_stale)
    group->why = gr_cancel_why(scope);
  group->scope = NULL;
  gr_lock_unlock(&group->lock);
  if (scope)
    gr_object_release(scope);
}

gr_status gr_group_close(gr_group *group) {
  wait one = {.closes = true};
  gr_lock_lock(&group->lock);
  if (alive_locked(group) == 0) {
    group->is_closed = true;
    gr_lock_unlock(&group->lock);
  } else if (!park_locked(group, &one, &group->waiters, GR_NEVER)) {
    return gr_wait_status(gr_self());
  }
  drop_scope(group);
  return GR_OK;
}

gr_status gr_group_take(gr_group *group, gr_task **task) {
  wait one = {.closes = false};
  gr_lock_lock(&group->lock);
  gr_link *link = gr_list_pop(&group->ended);
  if (!link && alive_locked(group) > 0) {
    if (!park_locked(group, &one, &group->takers, GR_NEVER))
      return gr_wait_status(gr_self());
    *task = one.taken;
    return GR_OK;
  }
  gr_member *m = link ? GR_CONTAINER(link, gr_member, in_ended) : NULL;
  *task = m ? m->task : NULL;
  if (m) {
    gr_task_retain(*task);
    m = let_go_locked(group, m);
  }
  gr_lock_unlock(&group->lock);
  drop_member(m);
  return GR_OK;
}

// --- others ---

gr_task *gr_group_next(gr_group *group, gr_group_cursor *cursor) {
  gr_task *task = NULL;
  gr_lock_lock(&group->lock);
  if (!cursor->at) {
    cursor->at = &group->members.head;
    cursor->round = group->round;
  }
  if (cursor->round == group->round) {
    gr_link *next = cursor->at->next; // members stay until the round ends
    if (next != &group->members.head) {
      cursor->at = next;
      task = GR_CONTAINER(next, gr_member, in_round)->task;
      gr_task_retain(task);
    }
  }
  gr_lock_unlock(&group->lock);
  return task;
}

bool gr_group_cancel(gr_group *group, gr_cancellation *why, bool *nomem) {
  *nomem = !lock_renewed(group);
  if (*nomem)
    return false;
  gr_cancel_scope *scope = group->scope;
  if (scope)
    gr_object_retain(scope);
  gr_lock_unlock(&group->lock);
  if (!scope)
    return false;
  bool first = gr_cancel_all(scope, why ? why : scope->own);
  gr_object_release(scope);
  return first;
}

bool gr_group_has(const gr_group *group, const gr_task *task) {
  return task->on_end == member_ended &&
         ((const gr_member *)task->on_end_arg)->group == group;
}
