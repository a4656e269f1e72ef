// SPDX-License-Identifier: MIT
// Locks know their holder by its id. This tells its name, also when it has
// ended without letting go.
#ifndef GR_HOLDER_H
#define GR_HOLDER_H

#include "base/base.h"
#include "sync/task.h"

// A goroutine ends that holds locks. Of the last so many the names are kept.
void gr_holder_ended(const gr_task *task);

// Whether the goroutine of this id exists. *name is a copy of its name, to be
// freed, or NULL: it has none, or has ended too long ago, or there is no
// memory.
bool gr_holder_find(uint64_t id, char **name);

// The same under the scheduler's lock.
bool gr_holder_find_locked(uint64_t id, char **name);

#endif
