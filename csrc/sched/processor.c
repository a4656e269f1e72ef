// SPDX-License-Identifier: MIT
#include "sched/processor.h"

#include <stdlib.h>

gr_processor *gr_processor_new(uint32_t id, uint64_t seed) {
  gr_processor *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  if (gr_loop_init(&p->loop) != 0) {
    free(p);
    return NULL;
  }
  p->id = id;
  gr_runq_init(&p->runq);
  gr_deadlines_init(&p->deadlines);
  gr_random_init(&p->random, seed);
  return p;
}

void gr_processor_free(gr_processor *p) {
  gr_loop_fini(&p->loop);
  gr_deadlines_fini(&p->deadlines);
  free(p);
}
