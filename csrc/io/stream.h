// SPDX-License-Identifier: MIT
// Streams of bytes: connections, pipes, and what the process was started with.
// Reading goes through a buffer, from which formats take what they need; what
// an operation has looked at is given up only when the whole of it succeeds.
#ifndef GR_STREAM_H
#define GR_STREAM_H

#include <sys/uio.h>

#include "io/descriptor.h"

typedef enum gr_stream_kind {
  GR_STREAM_TCP,
  GR_STREAM_UNIX,
  GR_STREAM_PIPE,
  GR_STREAM_STANDARD, // what the process was started with
  GR_STREAM_FILE,     // always ready; its calls may block the thread (fs.h)
} gr_stream_kind;

typedef struct gr_stream {
  gr_descriptor d;
  gr_refs refs;
  gr_stream_kind kind; // constant
  // The open file is shared with stock io or other processes, and so may be
  // one that blocks: it is asked before each system call. Set once.
  atomic_bool is_lent;

  // The reader's, between begin and end. bytes[start..end) are not yet read;
  // up to `at` the operation under way has looked at them.
  char *bytes;
  size_t start, at, end, room;
} gr_stream;

// Takes over the descriptor, which is closed if there is no memory: NULL then.
gr_stream *gr_stream_new(int fd, gr_stream_kind kind);
void gr_stream_retain(gr_stream *s);

// The stream of descriptor 0, 1 or 2, with a reference for the caller; NULL
// when out of memory.
gr_stream *gr_stream_standard(int fd);

void gr_stream_release(gr_stream *s);

// The following are called by running goroutines in the runtime, and return
// results of this layer (io.h); GR_TIMEOUT when the stream's time limit passes.

// Begins to read: 0, GR_CLOSED, GR_BUSY.
int gr_stream_read_begin(gr_stream *s);

// Ends it: what was looked at is used up, or is left for the next.
void gr_stream_read_end(gr_stream *s, bool uses);

// In between. Give bytes of the buffer, which stay until the next call.
// A line; with its end if `keeps`. GR_EOF if there is not one byte.
int gr_stream_take_line(gr_stream *s, bool keeps, const char **bytes,
                        size_t *len);
// `count` bytes, or what there is before the end. GR_EOF at the end, also for
// a count of 0.
int gr_stream_take_count(gr_stream *s, size_t count, const char **bytes,
                         size_t *len);
// All until the end.
int gr_stream_take_all(gr_stream *s, const char **bytes, size_t *len);
// What there is, at least one byte.
int gr_stream_take_some(gr_stream *s, const char **bytes, size_t *len);
// The next byte, which stays; gr_stream_skip takes it.
int gr_stream_peek(gr_stream *s, unsigned char *byte);
static inline void gr_stream_skip(gr_stream *s) {
  s->at++;
}

// Writes all of the parts, which are changed.
int gr_stream_write(gr_stream *s, struct iovec *parts, size_t count);

// Ends writing: the other side finds the end of the stream. A pipe is closed.
int gr_stream_shutdown(gr_stream *s);

// Closes it. False if it was closed already.
bool gr_stream_close(gr_stream *s);

#endif
