// SPDX-License-Identifier: MIT
// What the objects of this layer that handles refer to have in common: a count
// of references at their beginning, and being counted.
#ifndef GR_OBJECT_H
#define GR_OBJECT_H

#include "base/base.h"
#include "base/refs.h"

typedef struct gr_object {
  gr_refs refs;
  void (*fini)(void *object); // before it is freed; may be NULL
} gr_object;

// Zeroed memory for an object that begins with a gr_object, with one reference.
// NULL when out of memory.
void *gr_object_new(size_t bytes, void (*fini)(void *object));

// As handles want them. Any thread, holding nothing.
void gr_object_retain(void *object);
void gr_object_release(void *object);

// How many exist.
unsigned gr_object_count(void);

#endif
