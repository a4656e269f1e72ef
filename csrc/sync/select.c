// SPDX-License-Identifier: MIT
// All channels are locked in the order of their addresses, so that all cases
// are judged at one instant. First the cases are tried in random order; then
// the goroutine queues on all, and parks. Whoever wins its claim has done the
// case. Before it goes on, the others are unlinked under the locks.
#include "sync/select.h"

#include <stdlib.h>

#include "sched/sched.h"

typedef struct select {
  gr_case *cases;
  uint32_t *locks; // cases that have a channel, by its address
  uint32_t count;  // of these
} select_state;

static void lock_all(select_state *s) {
  gr_channel *last = NULL;
  for (uint32_t i = 0; i < s->count; i++) {
    gr_channel *c = s->cases[s->locks[i]].channel;
    if (c != last)
      gr_lock_lock(&c->lock);
    last = c;
  }
}

// Once the last lock is free, the select may return on another thread: nothing
// of it may be touched from then on.
static void unlock_all(select_state *s) {
  for (uint32_t i = s->count; i-- > 0;) {
    gr_channel *c = s->cases[s->locks[i]].channel;
    if (i == 0 || s->cases[s->locks[i - 1]].channel != c)
      gr_lock_unlock(&c->lock);
  }
}

static void commit_unlock(gr_goroutine *g, void *arg) {
  (void)g;
  unlock_all(arg);
}

static bool is_before(const gr_case *cases, uint32_t a, uint32_t b) {
  return (uintptr_t)cases[a].channel < (uintptr_t)cases[b].channel;
}

static void sift(const gr_case *cases, uint32_t *order, uint32_t i,
                 uint32_t count) {
  uint32_t moved = order[i];
  for (uint32_t child; (child = 2 * i + 1) < count; i = child) {
    if (child + 1 < count && is_before(cases, order[child], order[child + 1]))
      child++;
    if (!is_before(cases, moved, order[child]))
      break;
    order[i] = order[child];
  }
  order[i] = moved;
}

// Heap sort: no memory, and no bad case.
static void sort(const gr_case *cases, uint32_t *order, uint32_t count) {
  for (uint32_t i = count / 2; i > 0; i--)
    sift(cases, order, i - 1, count);
  for (uint32_t end = count; end > 1; end--) {
    uint32_t last = order[end - 1];
    order[end - 1] = order[0];
    order[0] = last;
    sift(cases, order, 0, end - 1);
  }
}

static uint32_t shuffle(const gr_case *cases, uint32_t count, uint32_t *polls) {
  gr_worker *w = gr_worker_self();
  gr_random *random =
      &atomic_load_explicit(&w->p, memory_order_relaxed)->random;
  uint32_t used = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!cases[i].channel)
      continue;
    uint32_t j = gr_random_below(random, used + 1);
    polls[used] = polls[j];
    polls[j] = i;
    used++;
  }
  return used;
}

static bool try_case(gr_case *c, bool *ok, gr_goroutine **woken) {
  return c->is_send
             ? gr_channel_try_send_locked(c->channel, &c->message, ok, woken)
             : gr_channel_try_recv_locked(c->channel, &c->message, ok, woken);
}

static void queue_all(select_state *s) {
  gr_goroutine *g = gr_self();
  gr_ticket ticket = gr_wait_open(g);
  for (uint32_t i = 0; i < s->count; i++) {
    gr_case *c = &s->cases[s->locks[i]];
    gr_list *queue = c->is_send ? &c->channel->senders : &c->channel->receivers;
    gr_waiter_push(&c->waiter, queue, g, ticket, &c->message);
  }
}

static void unlink_all(select_state *s) {
  lock_all(s);
  for (uint32_t i = 0; i < s->count; i++)
    gr_list_remove(&s->cases[s->locks[i]].waiter.link);
  unlock_all(s);
}

static gr_status wait_all(select_state *s, uint64_t deadline_ns,
                          uint32_t *chosen) {
  gr_goroutine *g = gr_self();
  queue_all(s);
  gr_park(GR_WAIT_SELECT, s->cases, deadline_ns, commit_unlock, s);
  gr_waiter *winner = g->woken_by;
  bool by_object = gr_wait_reason(g) == GR_CLAIM_OBJECT;
  gr_status status = gr_wait_status(g);
  unlink_all(s);
  if (!by_object)
    return status;
  *chosen = (uint32_t)(GR_CONTAINER(winner, gr_case, waiter) - s->cases);
  return winner->done ? GR_OK : GR_CLOSED;
}

// Nothing can ever happen, but for the time being over.
static gr_status wait_for_nothing(uint64_t deadline_ns) {
  gr_goroutine *g = gr_self();
  if (deadline_ns == GR_POLL)
    return GR_TIMEOUT;
  gr_wait_open(g);
  gr_park(GR_WAIT_SELECT_NONE, NULL, deadline_ns, NULL, NULL);
  return gr_wait_status(g);
}

gr_status gr_select(gr_case *cases, uint32_t count, uint32_t *order,
                    uint64_t deadline_ns, uint32_t *chosen) {
  uint32_t *polls = order;
  select_state s = {cases, order + count, 0};
  s.count = shuffle(cases, count, polls);
  if (s.count == 0)
    return wait_for_nothing(deadline_ns);
  for (uint32_t i = 0; i < s.count; i++)
    s.locks[i] = polls[i];
  sort(cases, s.locks, s.count);

  lock_all(&s);
  for (uint32_t i = 0; i < s.count; i++) {
    gr_goroutine *woken;
    bool ok;
    if (!try_case(&cases[polls[i]], &ok, &woken))
      continue;
    unlock_all(&s);
    if (woken)
      gr_ready(woken);
    *chosen = polls[i];
    return ok ? GR_OK : GR_CLOSED;
  }
  if (deadline_ns == GR_POLL) {
    unlock_all(&s);
    return GR_TIMEOUT;
  }
  for (uint32_t i = 0; i < count; i++)
    cases[i].is_last = i + 1 == count;
  return wait_all(&s, deadline_ns, chosen);
}
