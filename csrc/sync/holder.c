// SPDX-License-Identifier: MIT
// The names of those that have ended are in a ring. A lock that outlives its
// holder is a fault of the program, and this serves to tell it; so it need not
// be complete, but must not grow.
#include "sync/holder.h"

#include <stdlib.h>
#include <string.h>

#include "sched/sched.h"

enum { ENDED_MAX = 256 };

typedef struct ended {
  uint64_t id; // 0: none
  char *name;
} ended;

static struct {
  gr_lock lock;
  ended ring[ENDED_MAX]; // guarded by lock
  unsigned next;
} the = {.lock = GR_LOCK_STATIC(GR_RANK_LEAF)};

void gr_holder_ended(const gr_task *task) {
  char *name = task->name ? strdup(task->name) : NULL;
  if (!name)
    return;
  gr_lock_lock(&the.lock);
  ended *place = &the.ring[the.next++ % ENDED_MAX];
  char *old = place->name;
  *place = (ended){task->id, name};
  gr_lock_unlock(&the.lock);
  free(old);
}

static char *copy_ended(uint64_t id) {
  char *name = NULL;
  gr_lock_lock(&the.lock);
  for (unsigned i = 0; i < ENDED_MAX && !name; i++)
    if (the.ring[i].id == id)
      name = strdup(the.ring[i].name);
  gr_lock_unlock(&the.lock);
  return name;
}

// A goroutine in the list holds a reference of its task.
bool gr_holder_find_locked(uint64_t id, char **name) {
  gr_list *all = &gr_family_self()->goroutines;
  *name = NULL;
  for (gr_link *at = all->head.next; at != &all->head; at = at->next) {
    gr_goroutine *g = GR_CONTAINER(at, gr_goroutine, all);
    if (g->id != id)
      continue;
    const gr_task *task = g->owner;
    if (task && task->name)
      *name = strdup(task->name);
    return true;
  }
  *name = copy_ended(id);
  return false;
}

bool gr_holder_find(uint64_t id, char **name) {
  gr_lock_lock(&gr_the_sched.lock);
  bool exists = gr_holder_find_locked(id, name);
  gr_lock_unlock(&gr_the_sched.lock);
  return exists;
}
