// SPDX-License-Identifier: MIT
// Having memory come into the caches before it is used. Nothing is read: any
// address will do.
#ifndef GR_BASE_FETCH_H
#define GR_BASE_FETCH_H

#include "base/base.h"

// Into the second level, which these hints are for (for reading; used again
// soon): a batch of goroutines does not fit into the first.
#define GR_FETCH_LINE(address) __builtin_prefetch(address, 0, 2)

enum { GR_FETCH_STATE_BYTES = 256 }; // of a lua_State, with what is behind it

static inline void gr_fetch_bytes(const void *from, unsigned bytes) {
  for (unsigned at = 0; at < bytes; at += GR_LINE_BYTES)
    GR_FETCH_LINE((const void *)((uintptr_t)from + at));
}

// Lines that are worth it, counted from where some memory begins. They may be
// changed while others fetch them: relaxed, since any of them will do.
enum { GR_LINES_MAX = 48 };
typedef struct gr_lines {
  atomic_uint count;
  atomic_ushort at[GR_LINES_MAX];
} gr_lines;

static inline void gr_fetch_lines(const char *memory, const gr_lines *lines) {
  unsigned count = atomic_load_explicit(&lines->count, memory_order_relaxed);
  for (unsigned i = 0; i < count; i++) {
    size_t at = atomic_load_explicit(&lines->at[i], memory_order_relaxed);
    GR_FETCH_LINE(memory + at * GR_LINE_BYTES);
  }
}

#endif
