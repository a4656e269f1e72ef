// SPDX-License-Identifier: MIT
#include "base/thread.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/lock.h"

typedef struct part {
  atomic_long counts[GR_COUNTS]; // written by one thread
  gr_shelf shelves[GR_SHELVES];  // that thread's
  struct part *next;             // guarded by the lock, as is `link`
  struct part **link;
} part;

// NULL before the thread has counted anything. What uses it does not switch
// stacks, and is not inline where others do.
static __thread part *mine __attribute__((tls_model("initial-exec")));

static gr_lock lock = GR_LOCK_STATIC(GR_RANK_LEAF);
static part *first;                 // guarded by the lock
static atomic_long gone[GR_COUNTS]; // of threads that ended
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key; // constant after `once`

// What the thread counts after this gives it a new part, and the system calls
// this again.
static void on_thread_end(void *arg) {
  part *p = arg;
  mine = NULL;
  gr_lock_lock(&lock);
  *p->link = p->next;
  if (p->next)
    p->next->link = p->link;
  for (int i = 0; i < GR_COUNTS; i++)
    atomic_fetch_add(&gone[i], atomic_load(&p->counts[i]));
  gr_lock_unlock(&lock);
  for (int i = 0; i < GR_SHELVES; i++)
    for (unsigned k = 0; k < p->shelves[i].count; k++)
      free(p->shelves[i].objects[k]);
  free(p);
}

static void make_key(void) {
  has_key = pthread_key_create(&key, on_thread_end) == 0;
}

// NULL when out of memory.
static part *new_part(void) {
  pthread_once(&once, make_key);
  part *p = has_key ? calloc(1, sizeof *p) : NULL;
  if (!p || pthread_setspecific(key, p) != 0) {
    free(p);
    return NULL;
  }
  gr_lock_lock(&lock);
  p->next = first;
  p->link = &first;
  if (first)
    first->link = &p->next;
  first = p;
  gr_lock_unlock(&lock);
  return p;
}

GR_NOINLINE void gr_count(gr_counted what, int change) {
  if (GR_UNLIKELY(!mine) && (gr_is_child() || !(mine = new_part()))) {
    atomic_fetch_add(&gone[what], change);
    return;
  }
  atomic_long *count = &mine->counts[what];
  long now = atomic_load_explicit(count, memory_order_relaxed);
  atomic_store_explicit(count, now + change, memory_order_relaxed);
}

GR_NOINLINE gr_shelf *gr_shelf_find(gr_shelf_number number) {
  return mine ? &mine->shelves[number] : NULL;
}

unsigned gr_count_sum(gr_counted what) {
  gr_lock_lock(&lock);
  long sum = atomic_load(&gone[what]);
  for (const part *p = first; p; p = p->next)
    sum += atomic_load_explicit(&p->counts[what], memory_order_relaxed);
  gr_lock_unlock(&lock);
  return sum > 0 ? (unsigned)sum : 0; // others go on meanwhile
}
