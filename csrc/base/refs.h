// SPDX-License-Identifier: MIT
// A count of references to an object outside the Lua heaps.
#ifndef GR_REFS_H
#define GR_REFS_H

#include "base/base.h"

typedef struct gr_refs {
  atomic_uint count;
} gr_refs;

static inline void gr_refs_init(gr_refs *refs) {
  atomic_init(&refs->count, 1);
}

static inline void gr_refs_retain(gr_refs *refs) {
  atomic_fetch_add_explicit(&refs->count, 1, memory_order_relaxed);
}

// True for the last one, who frees the object. Release: what the others did to
// it is done before; acquire: by all of them. (Who finds that nobody else has a
// reference need not count: a new one comes only from one that is there.)
static inline bool gr_refs_release(gr_refs *refs) {
  if (atomic_load_explicit(&refs->count, memory_order_acquire) == 1)
    return true;
  return atomic_fetch_sub_explicit(&refs->count, 1, memory_order_acq_rel) == 1;
}

#endif
