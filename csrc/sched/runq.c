// SPDX-License-Identifier: MIT
#include "sched/runq.h"

void gr_runq_init(gr_runq *q) {
  atomic_init(&q->head, 0);
  atomic_init(&q->tail, 0);
  atomic_init(&q->next, NULL);
  for (int i = 0; i < GR_RUNQ_ROOM; i++)
    atomic_init(&q->ring[i], NULL);
}

static _Atomic(gr_goroutine *) *slot(gr_runq *q, unsigned i) {
  return &q->ring[i % GR_RUNQ_ROOM];
}

bool gr_runq_push(gr_runq *q, gr_goroutine *g) {
  // acquire: the thief that advanced head has read the slot we now write
  unsigned head = atomic_load_explicit(&q->head, memory_order_acquire);
  unsigned tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
  if (tail - head >= GR_RUNQ_ROOM)
    return false;
  atomic_store_explicit(slot(q, tail), g, memory_order_relaxed);
  // release: a thief that sees the tail sees the slot
  atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
  return true;
}

gr_goroutine *gr_runq_pop(gr_runq *q) {
  unsigned head = atomic_load_explicit(&q->head, memory_order_acquire);
  for (;;) {
    unsigned tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (head == tail)
      return NULL;
    gr_goroutine *g = atomic_load_explicit(slot(q, head), memory_order_relaxed);
    if (atomic_compare_exchange_weak_explicit(&q->head, &head, head + 1,
                                              memory_order_acq_rel,
                                              memory_order_acquire))
      return g;
  }
}

gr_goroutine *gr_runq_set_next(gr_runq *q, gr_goroutine *g) {
  if (!atomic_load_explicit(&q->next, memory_order_relaxed)) {
    // nobody but the owner fills the slot
    atomic_store_explicit(&q->next, g, memory_order_release);
    return NULL;
  }
  return atomic_exchange_explicit(&q->next, g, memory_order_acq_rel);
}

gr_goroutine *gr_runq_pop_next(gr_runq *q) {
  if (!atomic_load_explicit(&q->next, memory_order_relaxed))
    return NULL;
  return atomic_exchange_explicit(&q->next, NULL, memory_order_acq_rel);
}

// Copies up to half of `from` to the end of `to` and takes it by one
// compare-and-swap; what was copied in vain is copied again.
static unsigned grab(gr_runq *to, gr_runq *from) {
  unsigned end = atomic_load_explicit(&to->tail, memory_order_relaxed);
  unsigned head = atomic_load_explicit(&from->head, memory_order_acquire);
  for (;;) {
    unsigned tail = atomic_load_explicit(&from->tail, memory_order_acquire);
    unsigned count = tail - head;
    count -= count / 2;
    if (count == 0)
      return 0;
    if (count > GR_RUNQ_ROOM / 2) { // head and tail do not belong together
      head = atomic_load_explicit(&from->head, memory_order_acquire);
      continue;
    }
    for (unsigned i = 0; i < count; i++)
      atomic_store_explicit(
          slot(to, end + i),
          atomic_load_explicit(slot(from, head + i), memory_order_relaxed),
          memory_order_relaxed);
    if (atomic_compare_exchange_weak_explicit(&from->head, &head, head + count,
                                              memory_order_acq_rel,
                                              memory_order_acquire))
      return count;
  }
}

gr_goroutine *gr_runq_steal(gr_runq *to, gr_runq *from) {
  GR_ASSERT(gr_runq_count(to) == 0);
  unsigned count = grab(to, from);
  if (count == 0)
    return NULL;
  unsigned tail = atomic_load_explicit(&to->tail, memory_order_relaxed);
  gr_goroutine *g =
      atomic_load_explicit(slot(to, tail + count - 1), memory_order_relaxed);
  atomic_store_explicit(&to->tail, tail + count - 1, memory_order_release);
  return g;
}

bool gr_runq_steal_next(gr_runq *from, gr_goroutine *g) {
  return atomic_compare_exchange_strong_explicit(
      &from->next, &g, NULL, memory_order_acq_rel, memory_order_relaxed);
}

uint32_t gr_runq_count(gr_runq *q) {
  unsigned head = atomic_load_explicit(&q->head, memory_order_acquire);
  unsigned tail = atomic_load_explicit(&q->tail, memory_order_acquire);
  return tail - head > GR_RUNQ_ROOM ? 0 : tail - head;
}
