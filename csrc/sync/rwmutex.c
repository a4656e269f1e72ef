// SPDX-License-Identifier: MIT
#include "sync/rwmutex.h"

#include "sched/sched.h"

typedef struct rw_waiter {
  gr_waiter waiter;
  bool writes;
} rw_waiter;

static void fini(void *object) {
  gr_rwmutex *rw = object;
  GR_ASSERT(gr_list_is_empty(&rw->waiters));
}

gr_rwmutex *gr_rwmutex_new(void) {
  gr_rwmutex *rw = gr_object_new(sizeof *rw, fini);
  if (!rw)
    return NULL;
  gr_lock_init(&rw->lock, GR_RANK_SYNC);
  gr_list_init(&rw->waiters);
  return rw;
}

uint64_t gr_rwmutex_writer(const gr_rwmutex *rw) {
  return atomic_load_explicit(&rw->writer, memory_order_relaxed);
}

uint64_t gr_rwmutex_readers(const gr_rwmutex *rw) {
  return atomic_load_explicit(&rw->word, memory_order_relaxed) / GR_RW_READER;
}

static void set_writer(gr_rwmutex *rw, uint64_t id) {
  atomic_store_explicit(&rw->writer, id, memory_order_relaxed);
}

static uint64_t load(const gr_rwmutex *rw) {
  return atomic_load_explicit(&rw->word, memory_order_relaxed);
}

// On failure *word is what it is now.
static bool swap(gr_rwmutex *rw, uint64_t *word, uint64_t next) {
  return atomic_compare_exchange_weak_explicit(
      &rw->word, word, next, memory_order_acq_rel, memory_order_relaxed);
}

bool gr_rwmutex_try_read(gr_rwmutex *rw) {
  uint64_t word = load(rw);
  while (!(word & (GR_RW_WRITER | GR_RW_WAITERS)))
    if (swap(rw, &word, word + GR_RW_READER))
      return true;
  return false;
}

bool gr_rwmutex_try_write(gr_rwmutex *rw, gr_goroutine *g) {
  uint64_t word = load(rw);
  while (word == 0)
    if (swap(rw, &word, GR_RW_WRITER)) {
      set_writer(rw, g->id);
      g->held++;
      return true;
    }
  return false;
}

// --- giving, under the lock ---

static bool may_have(uint64_t word, bool writes) {
  return !(word & GR_RW_WRITER) && (!writes || word < GR_RW_READER);
}

// Gives to the first ones in the queue what can be given. Readers may be
// leaving meanwhile, all but the last, who needs the lock.
static void give_locked(gr_rwmutex *rw, gr_woken *woken) {
  gr_link *link;
  while ((link = gr_list_first(&rw->waiters))) {
    rw_waiter *next = GR_CONTAINER(link, rw_waiter, waiter.link);
    if (!may_have(load(rw), next->writes))
      return;
    gr_list_remove(link);
    if (!gr_waiter_claim(&next->waiter))
      continue;
    next->waiter.done = true;
    if (next->writes)
      set_writer(rw, next->waiter.g->id);
    atomic_fetch_add_explicit(&rw->word,
                              next->writes ? GR_RW_WRITER : GR_RW_READER,
                              memory_order_acq_rel);
    gr_woken_add(woken, next->waiter.g);
  }
  atomic_fetch_and_explicit(&rw->word, ~(uint64_t)GR_RW_WAITERS,
                            memory_order_relaxed);
}

// Lets go of so much, and gives to others.
static void give_back(gr_rwmutex *rw, uint64_t what) {
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&rw->lock);
  atomic_fetch_sub_explicit(&rw->word, what, memory_order_acq_rel);
  give_locked(rw, &woken);
  gr_lock_unlock(&rw->lock);
  gr_woken_ready(&woken);
}

// --- waiting ---

// Takes it, or leaves word that somebody is queued; at once. Under the lock.
static bool take_or_mark_locked(gr_rwmutex *rw, bool writes) {
  uint64_t word = load(rw), next;
  bool takes;
  do {
    takes = !(word & GR_RW_WAITERS) && may_have(word, writes);
    next = !takes   ? word | GR_RW_WAITERS
           : writes ? word | GR_RW_WRITER
                    : word + GR_RW_READER;
  } while (!swap(rw, &word, next));
  return takes;
}

static gr_status wait_for(gr_rwmutex *rw, bool writes, uint64_t deadline_ns) {
  gr_goroutine *g = gr_self();
  rw_waiter self = {.writes = writes};
  gr_waiting waiting = {.lock = &rw->lock,
                        .queue = &rw->waiters,
                        .kind = writes ? GR_WAIT_WLOCK : GR_WAIT_RLOCK,
                        .object = rw,
                        .deadline_ns = deadline_ns};
  gr_lock_lock(&rw->lock);
  if (take_or_mark_locked(rw, writes)) {
    gr_lock_unlock(&rw->lock);
  } else if (!gr_waiter_park(&self.waiter, &waiting)) {
    gr_woken woken; // those behind a writer that leaves may go on
    gr_woken_init(&woken);
    give_locked(rw, &woken);
    gr_lock_unlock(&rw->lock);
    gr_woken_ready(&woken);
    return gr_wait_status(g);
  }
  if (writes) {
    set_writer(rw, g->id);
    g->held++;
  }
  return GR_OK;
}

gr_status gr_rwmutex_read(gr_rwmutex *rw, uint64_t deadline_ns) {
  if (gr_rwmutex_try_read(rw))
    return GR_OK;
  return deadline_ns == GR_POLL ? GR_TIMEOUT : wait_for(rw, false, deadline_ns);
}

gr_status gr_rwmutex_write(gr_rwmutex *rw, uint64_t deadline_ns) {
  if (gr_rwmutex_try_write(rw, gr_self()))
    return GR_OK;
  return deadline_ns == GR_POLL ? GR_TIMEOUT : wait_for(rw, true, deadline_ns);
}

// --- letting go ---

bool gr_rwmutex_unread_quickly(gr_rwmutex *rw) {
  uint64_t word = load(rw);
  while (word >= GR_RW_READER &&
         (!(word & GR_RW_WAITERS) || word >= 2 * GR_RW_READER))
    if (swap(rw, &word, word - GR_RW_READER))
      return true;
  return false;
}

bool gr_rwmutex_unread(gr_rwmutex *rw) {
  uint64_t word;
  for (;;) {
    if (gr_rwmutex_unread_quickly(rw))
      return true;
    gr_woken woken;
    gr_woken_init(&woken);
    gr_lock_lock(&rw->lock);
    word = load(rw);
    bool is_last = (word & GR_RW_WAITERS) && word < 2 * GR_RW_READER &&
                   word >= GR_RW_READER;
    bool done = is_last && swap(rw, &word, word - GR_RW_READER);
    if (done)
      give_locked(rw, &woken);
    gr_lock_unlock(&rw->lock);
    gr_woken_ready(&woken);
    if (done)
      return true;
    if (word < GR_RW_READER)
      return false;
  }
}

bool gr_rwmutex_unwrite(gr_rwmutex *rw) {
  gr_goroutine *g = gr_self();
  if (gr_rwmutex_writer(rw) != g->id)
    return false;
  set_writer(rw, 0);
  g->held--;
  uint64_t word = GR_RW_WRITER;
  if (!swap(rw, &word, 0))
    give_back(rw, GR_RW_WRITER);
  return true;
}
