// SPDX-License-Identifier: MIT
#include "sync/object.h"

#include <stdlib.h>

static atomic_uint object_count;

unsigned gr_object_count(void) {
  return atomic_load(&object_count);
}

void *gr_object_new(size_t bytes, void (*fini)(void *object)) {
  gr_object *object = calloc(1, bytes);
  if (!object)
    return NULL;
  gr_refs_init(&object->refs);
  object->fini = fini;
  atomic_fetch_add_explicit(&object_count, 1, memory_order_relaxed);
  return object;
}

void gr_object_retain(void *object) {
  gr_refs_retain(&((gr_object *)object)->refs);
}

void gr_object_release(void *object) {
  gr_object *self = object;
  if (!gr_refs_release(&self->refs))
    return;
  if (self->fini)
    self->fini(self);
  free(self);
  atomic_fetch_sub_explicit(&object_count, 1, memory_order_relaxed);
}
