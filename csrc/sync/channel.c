// SPDX-License-Identifier: MIT
// A sender looks, under the lock, for: closed; a waiting receiver, to whom it
// hands over directly; room in the buffer; and else queues itself. A receiver:
// a buffered message (then the first waiting sender's moves into the buffer,
// so that order is kept); a waiting sender; closed; and else queues itself.
#include "sync/channel.h"

#include <stdlib.h>

#include "base/fetch.h"
#include "sched/sched.h"

enum { ROOM_MIN = 4 };

static atomic_uint channel_count;

unsigned gr_channel_count_all(void) {
  return atomic_load(&channel_count);
}

gr_channel *gr_channel_new(uint32_t capacity) {
  gr_channel *c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  gr_refs_init(&c->refs);
  c->capacity = capacity;
  gr_lock_init(&c->lock, GR_RANK_CHANNEL);
  gr_list_init(&c->receivers);
  gr_list_init(&c->senders);
  atomic_fetch_add_explicit(&channel_count, 1, memory_order_relaxed);
  return c;
}

void gr_channel_retain(gr_channel *c) {
  gr_refs_retain(&c->refs);
}

void gr_channel_release(gr_channel *c) {
  if (!gr_refs_release(&c->refs))
    return;
  if (c->on_free)
    c->on_free(c->on_free_arg);
  GR_ASSERT(gr_list_is_empty(&c->receivers) && gr_list_is_empty(&c->senders));
  gr_channel_drain(c);
  free(c->ring);
  free(c);
  atomic_fetch_sub_explicit(&channel_count, 1, memory_order_relaxed);
}

// --- the buffer, under the lock ---

static bool has_room(const gr_channel *c) {
  return c->count < c->capacity;
}

static bool grow(gr_channel *c) {
  uint32_t room = c->room ? c->room * 2 : ROOM_MIN;
  if (room > c->capacity)
    room = c->capacity;
  gr_message *ring = malloc(room * sizeof *ring);
  if (!ring)
    return false;
  for (uint32_t i = 0; i < c->count; i++)
    ring[i] = c->ring[(c->head + i) % c->room];
  free(c->ring);
  c->ring = ring;
  c->room = room;
  c->head = 0;
  return true;
}

static bool put(gr_channel *c, gr_message *message) {
  if (c->count == c->room && !grow(c))
    return false;
  uint32_t at = c->head + c->count;
  c->ring[at >= c->room ? at - c->room : at] = *message;
  c->count++;
  return true;
}

// The next one is likely to be wanted soon, and another thread has written it.
static void get(gr_channel *c, gr_message *out) {
  enum { NEXT_BYTES = 4 * GR_LINE_BYTES };
  *out = c->ring[c->head];
  c->head = c->head + 1 == c->room ? 0 : c->head + 1;
  c->count--;
  if (c->count > 0 && c->ring[c->head].kind == GR_MESSAGE_BLOCK)
    gr_fetch_bytes(c->ring[c->head].block, NEXT_BYTES);
}

void gr_channel_drain(gr_channel *c) {
  gr_message m;
  for (;;) {
    gr_lock_lock(&c->lock);
    bool any = c->count > 0;
    if (any)
      get(c, &m);
    gr_lock_unlock(&c->lock);
    if (!any)
      return;
    gr_message_drop(&m); // may free another channel: outside the lock
  }
}

void gr_channel_each_locked(const gr_channel *c, uint32_t most,
                            void (*visit)(void *arg, const gr_message *message),
                            void *arg) {
  for (uint32_t i = 0; i < c->count && most > 0; i++, most--)
    visit(arg, &c->ring[(c->head + i) % c->room]);
  const gr_link *end = &c->senders.head;
  for (gr_link *at = end->next; at != end && most > 0; at = at->next, most--)
    visit(arg, GR_CONTAINER(at, gr_waiter, link)->message);
}

// --- trying ---

bool gr_channel_try_send_locked(gr_channel *c, gr_message *message, bool *ok,
                                gr_goroutine **woken) {
  *woken = NULL;
  *ok = !c->closed;
  if (c->closed)
    return true;
  gr_waiter *receiver = gr_waiter_pop(&c->receivers);
  if (receiver) {
    *receiver->message = *message;
    receiver->done = true;
    *woken = receiver->g;
    return true;
  }
  return has_room(c) && put(c, message);
}

bool gr_channel_try_recv_locked(gr_channel *c, gr_message *out, bool *ok,
                                gr_goroutine **woken) {
  *woken = NULL;
  *ok = true;
  if (c->count > 0) {
    get(c, out);
    gr_waiter *sender = gr_waiter_pop(&c->senders);
    if (sender) {
      put(c, sender->message); // into the place that has just become free
      sender->done = true;
      *woken = sender->g;
    }
    return true;
  }
  gr_waiter *sender = gr_waiter_pop(&c->senders);
  if (sender) {
    *out = *sender->message;
    sender->done = true;
    *woken = sender->g;
    return true;
  }
  *ok = false;
  return c->closed;
}

bool gr_channel_offer(gr_channel *c, gr_message *message,
                      gr_goroutine **woken) {
  bool ok;
  gr_lock_lock(&c->lock);
  bool done = gr_channel_try_send_locked(c, message, &ok, woken);
  gr_lock_unlock(&c->lock);
  return done && ok;
}

// --- waiting ---

static void commit_unlock(gr_goroutine *g, void *arg) {
  (void)g;
  gr_channel *c = arg;
  gr_lock_unlock(&c->lock);
}

// Queues the running goroutine and parks it; the lock is held, and let go.
static gr_status wait_locked(gr_channel *c, gr_list *queue, gr_message *message,
                             gr_wait_kind kind, uint64_t deadline_ns) {
  gr_goroutine *g = gr_self();
  gr_waiter self;
  gr_waiter_push(&self, queue, g, gr_wait_open(g), message);
  gr_park(kind, c, deadline_ns, commit_unlock, c);
  if (gr_wait_reason(g) == GR_CLAIM_OBJECT)
    return self.done ? GR_OK : GR_CLOSED;
  gr_lock_lock(&c->lock);
  gr_list_remove(&self.link);
  gr_lock_unlock(&c->lock);
  return gr_wait_status(g);
}

gr_status gr_channel_send(gr_channel *c, gr_message *message,
                          uint64_t deadline_ns) {
  gr_goroutine *woken;
  bool ok;
  gr_lock_lock(&c->lock);
  if (gr_channel_try_send_locked(c, message, &ok, &woken)) {
    gr_lock_unlock(&c->lock);
    if (woken)
      gr_ready(woken);
    return ok ? GR_OK : GR_CLOSED;
  }
  bool no_memory = has_room(c);
  if (no_memory || deadline_ns == GR_POLL) {
    gr_lock_unlock(&c->lock);
    return no_memory ? GR_NOMEM : GR_TIMEOUT;
  }
  return wait_locked(c, &c->senders, message, GR_WAIT_SEND, deadline_ns);
}

gr_status gr_channel_recv(gr_channel *c, gr_message *out,
                          uint64_t deadline_ns) {
  gr_goroutine *woken;
  bool ok;
  gr_lock_lock(&c->lock);
  if (gr_channel_try_recv_locked(c, out, &ok, &woken)) {
    gr_lock_unlock(&c->lock);
    if (woken)
      gr_ready(woken);
    return ok ? GR_OK : GR_CLOSED;
  }
  if (deadline_ns == GR_POLL) {
    gr_lock_unlock(&c->lock);
    return GR_TIMEOUT;
  }
  return wait_locked(c, &c->receivers, out, GR_WAIT_RECV, deadline_ns);
}

// --- closing ---

// Claims all waiters of a queue into a list linked by `next`.
static void claim_all(gr_list *queue, gr_goroutine **all) {
  gr_waiter *w;
  while ((w = gr_waiter_pop(queue))) {
    w->g->next = *all;
    *all = w->g;
  }
}

bool gr_channel_close(gr_channel *c) {
  gr_goroutine *woken = NULL;
  gr_lock_lock(&c->lock);
  bool was_closed = c->closed;
  c->closed = true;
  claim_all(&c->receivers, &woken);
  claim_all(&c->senders, &woken);
  gr_lock_unlock(&c->lock);
  for (gr_goroutine *g = woken, *next; g; g = next) {
    next = g->next; // ours until it is runnable
    gr_ready(g);
  }
  if (!was_closed && c->on_close)
    c->on_close(c->on_free_arg);
  return !was_closed;
}

uint32_t gr_channel_count(gr_channel *c) {
  gr_lock_lock(&c->lock);
  uint32_t count = c->count;
  gr_lock_unlock(&c->lock);
  return count;
}

bool gr_channel_is_closed(gr_channel *c) {
  gr_lock_lock(&c->lock);
  bool closed = c->closed;
  gr_lock_unlock(&c->lock);
  return closed;
}
