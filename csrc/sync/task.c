// SPDX-License-Identifier: MIT
#include "sync/task.h"

#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "sched/sched.h"
#include "sync/object.h"
#include "sync/waiter.h"

void (*gr_task_on_forgotten)(gr_task *task);

// Those that failed and were not joined.
static struct {
  gr_lock lock;
  gr_list list;
} failed = {GR_LOCK_STATIC(GR_RANK_LEAF),
            {{&failed.list.head, &failed.list.head}}};

static void enlist_failed(gr_task *task) {
  gr_lock_lock(&failed.lock);
  gr_list_push(&failed.list, &task->failed);
  gr_lock_unlock(&failed.lock);
}

// True if it was in the list: for one caller only.
static bool delist_failed(gr_task *task) {
  gr_lock_lock(&failed.lock);
  bool was_in = gr_link_is_linked(&task->failed);
  gr_list_remove(&task->failed);
  gr_lock_unlock(&failed.lock);
  return was_in;
}

void gr_task_report_all(void) {
  for (;;) {
    gr_lock_lock(&failed.lock);
    gr_link *link = gr_list_pop(&failed.list);
    gr_lock_unlock(&failed.lock);
    if (!link)
      return;
    gr_task_on_forgotten(GR_CONTAINER(link, gr_task, failed));
  }
}

// Garbage, of which Lua's collector frees many at once.
static gr_cache tasks = GR_CACHE(GR_SHELF_TASKS, sizeof(gr_task), 16384);

gr_task *gr_task_new(gr_block *call, const char *name) {
  gr_task *task = gr_cache_get_zeroed(&tasks);
  if (task && name && !(task->name = strdup(name))) {
    gr_cache_put(&tasks, task);
    task = NULL;
  }
  if (!task)
    return NULL;
  gr_refs_init(&task->refs);
  gr_lock_init(&task->lock, GR_RANK_TASK);
  gr_list_init(&task->joiners);
  gr_link_init(&task->failed);
  task->call = call;
  return task;
}

void gr_task_retain(gr_task *task) {
  gr_refs_retain(&task->refs);
}

void gr_task_release(gr_task *task) {
  if (!gr_refs_release(&task->refs))
    return;
  if (delist_failed(task))
    gr_task_on_forgotten(task);
  GR_ASSERT(gr_list_is_empty(&task->joiners));
  gr_block_release(task->call);
  gr_block_release(task->outcome);
  gr_block_release(task->event);
  gr_block_release(task->context);
  if (task->why)
    gr_object_release(task->why);
  free(task->report);
  free(task->name);
  gr_cache_put(&tasks, task);
}

static void commit_unlock(gr_goroutine *g, void *arg) {
  (void)g;
  gr_task *task = arg;
  gr_lock_unlock(&task->lock);
}

gr_status gr_task_wait(gr_task *task, uint64_t deadline_ns) {
  gr_lock_lock(&task->lock);
  if (task->state != GR_TASK_ALIVE) {
    task->joined = true;
    gr_lock_unlock(&task->lock);
    delist_failed(task);
    return GR_OK;
  }
  if (deadline_ns == GR_POLL) {
    gr_lock_unlock(&task->lock);
    return GR_TIMEOUT;
  }
  gr_goroutine *g = gr_self();
  gr_waiter self;
  gr_waiter_push(&self, &task->joiners, g, gr_wait_open(g), NULL);
  gr_park(GR_WAIT_JOIN, task, deadline_ns, commit_unlock, task);
  if (gr_wait_reason(g) == GR_CLAIM_OBJECT)
    return GR_OK;
  gr_lock_lock(&task->lock);
  gr_list_remove(&self.link);
  gr_lock_unlock(&task->lock);
  return gr_wait_status(g);
}

void gr_task_end(gr_task *task, gr_task_state state, gr_block *outcome) {
  gr_goroutine *woken = NULL, **end = &woken;
  gr_lock_lock(&task->lock);
  GR_ASSERT(task->state == GR_TASK_ALIVE);
  task->state = state;
  task->outcome = outcome;
  task->g = NULL;
  gr_waiter *w;
  while ((w = gr_waiter_pop(&task->joiners))) {
    task->joined = true;
    w->g->next = NULL;
    *end = w->g;
    end = &w->g->next;
  }
  if (state == GR_TASK_FAILED && !task->joined)
    enlist_failed(task); // before it can be joined, which takes it out
  gr_lock_unlock(&task->lock);
  if (task->on_end)
    task->on_end(task->on_end_arg);
  for (gr_goroutine *g = woken, *next; g; g = next) {
    next = g->next; // ours until it is runnable
    gr_ready(g);
  }
}
