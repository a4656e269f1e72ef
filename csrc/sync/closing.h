// SPDX-License-Identifier: MIT
// The time that the handlers of a cancelled goroutine may wait. It begins with
// the first wait that they keep the cancellation from; when it is over, that
// goes on to be kept from none.
#ifndef GR_CLOSING_H
#define GR_CLOSING_H

#include "sync/cancel.h"

// Owned by its goroutine, which alone looks at it.
typedef struct gr_closing {
  gr_object object;
  gr_cancellation *why; // whose handlers; with a reference, as is `task`
  gr_task *task;
  uint64_t deadline_ns;
  gr_deadline alarm; // has a reference while it is set
} gr_closing;

// The running goroutine's, in the place of one before. False when out of
// memory. Inside the runtime.
bool gr_closing_begin(gr_cancellation *why, uint64_t deadline_ns);

// It is cancelled no longer, or ends. Inside the runtime.
void gr_closing_end(gr_task *task);

#endif
