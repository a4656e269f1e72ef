// SPDX-License-Identifier: MIT
#include "sync/cond.h"

#include "sched/sched.h"

static void fini(void *object) {
  gr_cond *c = object;
  GR_ASSERT(gr_list_is_empty(&c->waiters));
  gr_object_release(c->mutex);
}

gr_cond *gr_cond_new(gr_mutex *mutex) {
  gr_cond *c = gr_object_new(sizeof *c, fini);
  if (!c)
    return NULL;
  gr_lock_init(&c->lock, GR_RANK_COND);
  gr_list_init(&c->waiters);
  gr_object_retain(mutex);
  c->mutex = mutex;
  return c;
}

typedef struct letting_go {
  gr_cond *cond;
  gr_goroutine *woken; // by the mutex
} letting_go;

// `arg` lies on the stack of g, which may go on once the lock is free.
static void commit_wait(gr_goroutine *g, void *arg) {
  (void)g;
  letting_go l = *(letting_go *)arg;
  gr_lock_unlock(&l.cond->lock);
  if (l.woken)
    gr_ready(l.woken);
}

static gr_status wait_for_signal(gr_cond *c, gr_goroutine *g,
                                 uint64_t deadline_ns) {
  gr_waiter self;
  letting_go l = {.cond = c};
  gr_lock_lock(&c->lock);
  gr_waiter_push(&self, &c->waiters, g, gr_wait_open(g), NULL);
  GR_ASSERT(gr_mutex_drop(c->mutex, g, &l.woken));
  gr_park(GR_WAIT_COND, c, deadline_ns, commit_wait, &l);
  if (gr_wait_reason(g) == GR_CLAIM_OBJECT)
    return GR_OK;
  gr_lock_lock(&c->lock);
  gr_list_remove(&self.link);
  gr_lock_unlock(&c->lock);
  return gr_wait_status(g);
}

// An interrupt or a cancellation waits until the mutex is held again.
static gr_status lock_again(gr_cond *c) {
  gr_status status;
  do {
    gr_wait_ignore_cancel();
    status = gr_mutex_lock(c->mutex, GR_NEVER);
  } while (status == GR_INTERRUPTED || status == GR_CANCELLED);
  return status;
}

gr_status gr_cond_wait(gr_cond *c, uint64_t deadline_ns) {
  if (deadline_ns == GR_POLL)
    return GR_TIMEOUT;
  gr_status status = wait_for_signal(c, gr_self(), deadline_ns);
  gr_status locked = lock_again(c);
  return locked == GR_OK ? status : locked;
}

void gr_cond_signal(gr_cond *c) {
  gr_lock_lock(&c->lock);
  gr_waiter *first = gr_waiter_pop(&c->waiters);
  gr_lock_unlock(&c->lock);
  if (first)
    gr_ready(first->g);
}

void gr_cond_broadcast(gr_cond *c) {
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&c->lock);
  gr_woken_add_all(&woken, &c->waiters);
  gr_lock_unlock(&c->lock);
  gr_woken_ready(&woken);
}
