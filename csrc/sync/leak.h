// SPDX-License-Identifier: MIT
// Finding goroutines that can never go on: they wait, without a timeout, on
// objects that nobody has but goroutines that wait so.
#ifndef GR_LEAK_H
#define GR_LEAK_H

#include "base/base.h"
#include "value/handle.h"

typedef struct gr_leaks {
  uint64_t *ids; // of the goroutines, ascending
  size_t count;
} gr_leaks;

// Finds them all, or none when out of memory; `ids` is to be freed. Sees waits
// on channels, selects, joins and the objects of sync; one that it is not sure
// about is none. `channel_type` is that of handles of channels. Takes time in
// proportion to the number of goroutines that wait, and of the handles in their
// states, and none that waits is run meanwhile. Running goroutine, inside the
// runtime.
gr_leaks gr_leaks_find(const gr_handle_type *channel_type);

bool gr_leaks_has(const gr_leaks *leaks, uint64_t id);

#endif
