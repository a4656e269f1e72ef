// SPDX-License-Identifier: MIT
// Processors: making them, who holds them, the list of the idle ones, and how
// many there are.
#include "sched/processor.h"

#include <stdlib.h>

#include "sched/monitor.h"
#include "sched/sched.h"

gr_processor *gr_processor_new(uint32_t id, uint64_t seed) {
  gr_processor *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  if (!gr_poller_init(&p->poller)) {
    free(p);
    return NULL;
  }
  if (gr_loop_init(&p->loop) != 0) {
    gr_poller_fini(&p->poller);
    free(p);
    return NULL;
  }
  p->id = id;
  gr_runq_init(&p->runq);
  gr_deadlines_init(&p->deadlines);
  gr_random_init(&p->random, seed);
  p->turn_ns = GR_LONG_TURN_NS;
  return p;
}

void gr_processor_free(gr_processor *p) {
  gr_poller_fini(&p->poller);
  gr_loop_fini(&p->loop);
  gr_deadlines_fini(&p->deadlines);
  free(p);
}

// --- idle and held: under the scheduler's lock ---

void gr_add_idle_locked(gr_processor *p) {
  p->is_idle = true;
  p->in_flight = false;
  p->woken_to_search = false;
  p->next_idle = gr_the_sched.idle_processors;
  gr_the_sched.idle_processors = p;
  atomic_fetch_add(&gr_the_sched.idle_count, 1);
}

void gr_remove_idle_locked(gr_processor *p) {
  gr_processor **at = &gr_the_sched.idle_processors;
  while (*at != p)
    at = &(*at)->next_idle;
  *at = p->next_idle;
  p->is_idle = false;
  p->in_flight = !p->worker;
  atomic_fetch_sub(&gr_the_sched.idle_count, 1);
}

void gr_detach_locked(gr_worker *w, gr_processor *p) {
  GR_ASSERT(p->worker == w);
  p->worker = NULL;
  p->in_flight = true;
  atomic_store(&w->p, NULL);
}

void gr_attach_locked(gr_worker *w, gr_processor *p) {
  GR_ASSERT(!p->worker && !p->is_idle && p->in_flight);
  p->worker = w;
  p->in_flight = false;
  atomic_store(&w->p, p);
}

// --- how many ---

bool gr_take_idle_processor(gr_worker *w) {
  gr_lock_lock(&gr_the_sched.lock);
  gr_processor *p = gr_the_sched.idle_processors;
  while (p && p->worker)
    p = p->next_idle;
  if (p) {
    gr_remove_idle_locked(p);
    gr_attach_locked(w, p);
  }
  gr_lock_unlock(&gr_the_sched.lock);
  return p != NULL;
}

bool gr_set_procs(uint32_t count) {
  gr_sched *s = &gr_the_sched;
  bool enough = true;
  gr_lock_lock(&s->lock);
  uint32_t made = atomic_load(&s->processors_made);
  gr_lock_unlock(&s->lock);
  for (; enough && made < count; made++) {
    gr_processor *p = gr_processor_new(made, gr_now_ns());
    enough = p != NULL;
    if (!p)
      break;
    gr_lock_lock(&s->lock);
    if (atomic_load(&s->processors_made) == made) {
      atomic_store(&s->processors[made], p);
      atomic_store(&s->processors_made, made + 1);
      p = NULL;
    }
    gr_lock_unlock(&s->lock);
    if (p)
      gr_processor_free(p); // somebody else was quicker
  }
  if (!enough)
    return false;
  gr_lock_lock(&s->lock);
  uint32_t before = atomic_load(&s->procs);
  atomic_store(&s->procs, count);
  // Idle ones above the new count stay in the list no longer; their workers
  // find out when they are woken. New ones are idle at first.
  for (uint32_t i = count; i < before; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    if (p->is_idle) {
      gr_remove_idle_locked(p);
      p->in_flight = false; // parked, if nobody sleeps with it
      if (p->worker)
        gr_loop_wake(&p->loop);
    }
  }
  for (uint32_t i = before; i < count; i++) {
    gr_processor *p = atomic_load(&s->processors[i]);
    if (!p->worker && !p->is_idle && !p->in_flight)
      gr_add_idle_locked(p);
  }
  gr_lock_unlock(&s->lock);
  gr_monitor_busy();
  if (before > 0) // else there is nobody to run anything yet
    gr_wake_processor();
  return true;
}
