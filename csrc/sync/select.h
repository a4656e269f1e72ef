// SPDX-License-Identifier: MIT
// Waiting for one of several channel operations.
#ifndef GR_SELECT_H
#define GR_SELECT_H

#include "sync/channel.h"

typedef struct gr_case {
  gr_channel *channel; // NULL: never ready
  bool is_send;
  bool is_last;       // set by gr_select, for dumps
  gr_message message; // to send, or received
  gr_waiter waiter;   // the select's own
} gr_case;

// Does exactly one of the cases. GR_OK: case *chosen was done; its `message`
// was sent, or received. GR_CLOSED: the channel of case *chosen is closed.
// Otherwise nothing was done. `order` has room for 2 * count numbers. Called by
// running goroutines inside the runtime; what is not sent stays the caller's.
gr_status gr_select(gr_case *cases, uint32_t count, uint32_t *order,
                    uint64_t deadline_ns, uint32_t *chosen);

#endif
