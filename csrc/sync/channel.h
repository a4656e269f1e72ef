// SPDX-License-Identifier: MIT
// Channels: bounded first-in first-out queues of messages, with direct
// hand-over between goroutines that meet (after Go's chan.go).
#ifndef GR_CHANNEL_H
#define GR_CHANNEL_H

#include "base/base.h"
#include "base/lock.h"
#include "base/refs.h"
#include "sync/waiter.h"
#include "value/message.h"

// Invariants, whenever the lock is free:
//   receivers and senders are never both non-empty, but for one select on both
//   receivers is non-empty only if the buffer is empty
//   senders is non-empty only if the buffer is full
typedef struct gr_channel {
  gr_refs refs;
  uint32_t capacity; // constant

  gr_lock lock; // Nobody is woken while it is held.

  // Guarded by lock, with the links and messages of the waiters queued here.
  // The buffer is a ring that grows up to the capacity.
  gr_message *ring;
  uint32_t room, head, count;
  gr_list receivers, senders;
  bool closed;

  // Called when it has been closed, by who did, in the runtime; and before it
  // is freed. Of a channel that something outside sends to.
  void (*on_close)(void *arg);
  void (*on_free)(void *arg);
  void *on_free_arg;
} gr_channel;

#define GR_CHANNEL_CAPACITY_MAX 0x7fffffffu

// A channel with one reference, or NULL when out of memory.
gr_channel *gr_channel_new(uint32_t capacity);
void gr_channel_retain(gr_channel *c);
void gr_channel_release(gr_channel *c);
unsigned gr_channel_count_all(void);

// The following but gr_channel_offer are called by running goroutines inside
// the runtime. `deadline_ns` GR_POLL never waits, GR_NEVER waits for ever.

// Moves the message into the channel, or to a receiver. GR_OK, GR_CLOSED,
// GR_TIMEOUT, or what ended the wait; if not GR_OK it stays the caller's.
gr_status gr_channel_send(gr_channel *c, gr_message *message,
                          uint64_t deadline_ns);

// Takes the next message. GR_CLOSED: closed, and nothing is left in it.
gr_status gr_channel_recv(gr_channel *c, gr_message *out, uint64_t deadline_ns);

// Closes it; all waiters go on. False if it was closed already.
bool gr_channel_close(gr_channel *c);

// How many messages are buffered; whether it is closed.
uint32_t gr_channel_count(gr_channel *c);
bool gr_channel_is_closed(gr_channel *c);

// Moves the message into the channel if that can be done at once. Returns true
// then; *woken is the goroutine to be made runnable, if any. Any thread.
bool gr_channel_offer(gr_channel *c, gr_message *message, gr_goroutine **woken);

// Drops what is buffered.
void gr_channel_drain(gr_channel *c);

// --- for select.c and leak.c; under the lock ---

// Calls visit for the messages that it has: buffered, or of a sender who waits.
// For so many of them at most.
void gr_channel_each_locked(const gr_channel *c, uint32_t most,
                            void (*visit)(void *arg, const gr_message *message),
                            void *arg);

// Try the operation. True if it was done: *ok tells whether a message was
// exchanged (else the channel is closed); *woken is to be made runnable.
bool gr_channel_try_send_locked(gr_channel *c, gr_message *message, bool *ok,
                                gr_goroutine **woken);
bool gr_channel_try_recv_locked(gr_channel *c, gr_message *out, bool *ok,
                                gr_goroutine **woken);

#endif
