// SPDX-License-Identifier: MIT
// See docs/internals.md for the interleavings of waiting, events, closing and
// time limits.
#include "io/descriptor.h"

#include <unistd.h>

#include "sync/waiter.h"

static atomic_uint open_count;

unsigned gr_descriptor_count(void) {
  return atomic_load(&open_count);
}

// --- waking ---

// Ends the wait of one of a side, if there is any, and puts it before *woken.
// One is enough for what has become ready: it passes on what it leaves.
static bool claim_one_locked(gr_side *side, gr_goroutine **woken) {
  gr_waiter *w = gr_waiter_pop(&side->waiters);
  if (!w)
    return false;
  w->g->next = *woken;
  *woken = w->g;
  return true;
}

static void claim_all_locked(gr_side *side, gr_goroutine **woken) {
  while (claim_one_locked(side, woken))
    ;
}

static void deliver(gr_pollee *pollee, unsigned events, gr_goroutine **woken) {
  gr_descriptor *d = GR_CONTAINER(pollee, gr_descriptor, pollee);
  gr_lock_lock(&d->lock);
  if (events & GR_EVENT_HANGUP)
    atomic_store(&d->hung_up, true);
  for (int i = 0; i < 2; i++) {
    if (!(events & (i == GR_READ ? GR_EVENT_READ : GR_EVENT_WRITE)))
      continue;
    atomic_store(&d->side[i].ready, true);
    claim_one_locked(&d->side[i], woken);
  }
  gr_lock_unlock(&d->lock);
}

static void ready_all(gr_goroutine *woken) {
  for (gr_goroutine *next; woken; woken = next) {
    next = woken->next; // ours until it is runnable
    gr_ready(woken);
  }
}

// --- life ---

void gr_descriptor_init(gr_descriptor *d, int fd,
                        void (*release)(gr_pollee *pollee)) {
  *d = (gr_descriptor){.fd = fd};
  d->pollee.deliver = deliver;
  d->pollee.free = release;
  gr_lock_init(&d->lock, GR_RANK_CHANNEL);
  for (int i = 0; i < 2; i++) {
    gr_side *side = &d->side[i];
    atomic_init(&side->ready, true);
    gr_list_init(&side->waiters);
    side->timeout_ns = side->deadline_ns = GR_NEVER;
  }
  atomic_fetch_add_explicit(&open_count, 1, memory_order_relaxed);
}

// No operation is under way, nor will there be one. What is registered has to
// be taken out: a child that has not yet called exec may hold the file open.
static void close_number(gr_descriptor *d) {
  gr_poller_remove(&d->pollee, d->fd);
  if (!d->keeps_open)
    close(d->fd);
  atomic_fetch_sub_explicit(&open_count, 1, memory_order_relaxed);
}

bool gr_descriptor_close(gr_descriptor *d) {
  gr_goroutine *woken = NULL;
  gr_lock_lock(&d->lock);
  bool was_closed = atomic_exchange(&d->closed, true);
  bool last = !was_closed && d->users == 0;
  claim_all_locked(&d->side[GR_READ], &woken);
  claim_all_locked(&d->side[GR_WRITE], &woken);
  gr_lock_unlock(&d->lock);
  if (last)
    close_number(d);
  ready_all(woken);
  return !was_closed;
}

void gr_descriptor_free(gr_descriptor *d) {
  gr_descriptor_close(d);
  GR_ASSERT(d->users == 0);
  gr_pollee_free(&d->pollee);
}

// --- operations ---

static uint64_t deadline_after(uint64_t timeout_ns) {
  if (timeout_ns == GR_NEVER || timeout_ns == 0)
    return timeout_ns; // GR_POLL is 0
  uint64_t now_ns = gr_now_ns();
  return timeout_ns >= GR_NEVER - now_ns ? GR_NEVER : now_ns + timeout_ns;
}

int gr_descriptor_begin(gr_descriptor *d, gr_direction direction) {
  gr_side *side = &d->side[direction];
  int status = 0;
  gr_lock_lock(&d->lock);
  if (d->closed) {
    status = GR_CLOSED;
  } else if (side->busy) {
    status = GR_BUSY;
  } else {
    side->busy = !d->is_shared;
    if (side->timeout_ns != GR_NEVER || side->deadline_ns != GR_NEVER)
      side->deadline_ns = deadline_after(side->timeout_ns);
    d->users++;
  }
  gr_lock_unlock(&d->lock);
  return status;
}

void gr_descriptor_end(gr_descriptor *d, gr_direction direction) {
  gr_lock_lock(&d->lock);
  d->side[direction].busy = false;
  bool last = --d->users == 0 && d->closed;
  gr_lock_unlock(&d->lock);
  if (last)
    close_number(d);
}

void gr_descriptor_set_timeout(gr_descriptor *d, gr_direction direction,
                               uint64_t timeout_ns) {
  gr_goroutine *woken = NULL;
  gr_side *side = &d->side[direction];
  gr_lock_lock(&d->lock);
  side->timeout_ns = timeout_ns;
  if (side->busy) {
    side->deadline_ns = deadline_after(timeout_ns);
    claim_all_locked(side, &woken); // they look at it anew
  }
  gr_lock_unlock(&d->lock);
  ready_all(woken);
}

void gr_descriptor_pass_on(gr_descriptor *d, gr_direction direction) {
  gr_goroutine *woken = NULL;
  gr_lock_lock(&d->lock);
  atomic_store(&d->side[direction].ready, true);
  claim_one_locked(&d->side[direction], &woken);
  gr_lock_unlock(&d->lock);
  ready_all(woken);
}

// --- waiting ---

static void commit_unlock(gr_goroutine *g, void *arg) {
  (void)g;
  gr_descriptor *d = arg;
  gr_lock_unlock(&d->lock);
}

// On the set of the processor on which it is first waited for. Only those
// between begin and end come here, a reader and a writer perhaps at once.
static int enlist(gr_descriptor *d) {
  gr_processor *p =
      atomic_load_explicit(&gr_worker_self()->p, memory_order_relaxed);
  int err = 0;
  gr_poller_use(p);
  gr_lock_lock(&d->lock);
  if (!atomic_load(&d->registered)) {
    err = gr_poller_add(p, &d->pollee, d->fd);
    if (err == UV_EPERM) { // a regular file
      d->never_waits = true;
      err = 0;
    }
    atomic_store(&d->registered, err == 0);
  }
  gr_lock_unlock(&d->lock);
  return err;
}

// Looks whether there is something to wait for, and waits. True when it has
// waited, or has been told to look again; else *status is the outcome.
static bool wait_once(gr_descriptor *d, gr_side *side, gr_wait_kind kind,
                      const uint64_t *deadline_ns, int *status) {
  gr_lock_lock(&d->lock);
  uint64_t until_ns = *deadline_ns;
  bool is_ready = atomic_load(&side->ready) || d->never_waits;
  if (d->closed)
    *status = GR_CLOSED;
  else if (is_ready)
    *status = 0;
  else
    *status = GR_TIMEOUT;
  if (d->closed || is_ready ||
      (until_ns != GR_NEVER && until_ns <= gr_now_ns())) {
    gr_lock_unlock(&d->lock);
    return false;
  }
  gr_goroutine *g = gr_self();
  gr_waiter self;
  gr_waiter_push(&self, &side->waiters, g, gr_wait_open(g), NULL);
  atomic_fetch_add(&gr_the_sched.outside_waits, 1);
  gr_park(kind, d, until_ns, commit_unlock, d);
  atomic_fetch_sub(&gr_the_sched.outside_waits, 1);
  unsigned reason = gr_wait_reason(g);
  if (reason == GR_CLAIM_OBJECT)
    return true;
  gr_lock_lock(&d->lock);
  gr_list_remove(&self.link);
  gr_lock_unlock(&d->lock);
  *status = (int)gr_wait_status(g);
  return reason == GR_CLAIM_TIMEOUT; // unless it has been put off meanwhile
}

int gr_descriptor_wait(gr_descriptor *d, gr_direction direction,
                       gr_wait_kind kind, const uint64_t *deadline_ns) {
  int status = atomic_load(&d->registered) ? 0 : enlist(d);
  if (status)
    return status;
  while (wait_once(d, &d->side[direction], kind, deadline_ns, &status))
    ;
  return status;
}
