// SPDX-License-Identifier: MIT
#include "io/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  BUFFER_MIN = 4096,
  AHEAD_MAX = 64 * 1024, // how far the buffer grows because reads fill it
  KEPT_MAX = 256 * 1024, // a larger one is freed once it is empty
  LENT_WRITE = 4096,     // a pipe that can be written to takes so much
  PARTS_MAX = 64,        // in one system call
};

// --- life ---

static void free_stream(gr_pollee *pollee) {
  gr_stream *s =
      GR_CONTAINER(GR_CONTAINER(pollee, gr_descriptor, pollee), gr_stream, d);
  free(s->bytes);
  free(s);
}

gr_stream *gr_stream_new(int fd, gr_stream_kind kind) {
  gr_stream *s = calloc(1, sizeof *s);
  if (!s) {
    if (kind != GR_STREAM_STANDARD)
      close(fd);
    return NULL;
  }
  gr_descriptor_init(&s->d, fd, free_stream);
  s->d.keeps_open = kind == GR_STREAM_STANDARD;
  atomic_init(&s->is_lent, kind == GR_STREAM_STANDARD);
  gr_refs_init(&s->refs);
  s->kind = kind;
  return s;
}

void gr_stream_retain(gr_stream *s) {
  gr_refs_retain(&s->refs);
}

void gr_stream_release(gr_stream *s) {
  if (gr_refs_release(&s->refs))
    gr_descriptor_free(&s->d);
}

gr_stream *gr_stream_standard(int fd) {
  static gr_lock lock = GR_LOCK_STATIC(GR_RANK_LEAF);
  static gr_stream *streams[3]; // guarded by lock; kept until the end
  gr_lock_lock(&lock);
  if (!streams[fd])
    streams[fd] = gr_stream_new(fd, GR_STREAM_STANDARD);
  gr_stream *s = streams[fd];
  gr_lock_unlock(&lock);
  if (s)
    gr_stream_retain(s);
  return s;
}

// A standard stream's number is not to be had by another file: what is written
// there goes nowhere from now on.
static void close_standard(int fd) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0)
    return;
  dup2(null, fd);
  close(null);
}

bool gr_stream_close(gr_stream *s) {
  bool done = gr_descriptor_close(&s->d);
  if (done && s->kind == GR_STREAM_STANDARD)
    close_standard(s->d.fd);
  return done;
}

// --- system calls ---

// Whose calls are cheaper than those for all descriptors.
static bool is_socket(const gr_stream *s) {
  return s->kind == GR_STREAM_TCP || s->kind == GR_STREAM_UNIX;
}

static ssize_t read_own(gr_stream *s, char *to, size_t room) {
  return is_socket(s) ? gr_sys_recv(s->d.fd, to, room)
                      : gr_sys_read(s->d.fd, to, room);
}

// The calls may block all the same if another process is quicker, and those of
// files always may.

// A pipe that can only be written to is never ready to be read.
static bool is_write_only(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == O_WRONLY;
}

static ssize_t read_lent(gr_stream *s, char *to, size_t room) {
  if (s->kind != GR_STREAM_FILE && !gr_sys_poll(s->d.fd, POLLIN))
    return is_write_only(s->d.fd) ? UV_EBADF : UV_EAGAIN;
  gr_block_begin();
  ssize_t got = gr_sys_read(s->d.fd, to, room);
  gr_block_end();
  gr_enter();
  return got;
}

// --- the buffer ---

// Has room for so many bytes behind the end. False when out of memory.
static bool make_room(gr_stream *s, size_t extra) {
  if (s->room - s->end >= extra)
    return true;
  if (s->start > 0) {
    memmove(s->bytes, s->bytes + s->start, s->end - s->start);
    s->at -= s->start;
    s->end -= s->start;
    s->start = 0;
  }
  if (s->room - s->end >= extra)
    return true;
  size_t room = s->room ? s->room : BUFFER_MIN;
  while (room - s->end < extra) {
    if (room > SIZE_MAX / 4)
      return false;
    room *= 2;
  }
  char *bytes = realloc(s->bytes, room);
  if (!bytes)
    return false;
  s->bytes = bytes;
  s->room = room;
  return true;
}

static int fill_once(gr_stream *s, size_t extra) {
  if (!make_room(s, extra))
    return GR_NOMEM;
  size_t room = s->room - s->end;
  gr_descriptor_try(&s->d, GR_READ);
  bool is_lent = atomic_load(&s->is_lent) || s->kind == GR_STREAM_FILE;
  ssize_t got = is_lent ? read_lent(s, s->bytes + s->end, room)
                        : read_own(s, s->bytes + s->end, room);
  if (gr_io_would_block(got))
    return UV_EAGAIN;
  // A read that was not filled has found all there was; a terminal's gives
  // only a line.
  if (got <= 0 || (size_t)got == room || is_lent)
    gr_descriptor_more(&s->d, GR_READ);
  if (got <= 0)
    return got == 0 ? GR_EOF : (int)got;
  s->end += (size_t)got;
  if ((size_t)got == room && s->room < AHEAD_MAX)
    make_room(s, s->room); // more at once next time, if there is memory
  return 0;
}

// Reads what there is, waiting for at least one byte.
static int fill(gr_stream *s, size_t extra) {
  for (;;) {
    int status = UV_EAGAIN;
    if (gr_descriptor_is_closed(&s->d))
      return GR_CLOSED;
    if (gr_descriptor_is_ready(&s->d, GR_READ))
      status = fill_once(s, extra);
    if (status != UV_EAGAIN)
      return status;
    status = gr_descriptor_wait_own(&s->d, GR_READ, GR_WAIT_READ);
    if (status)
      return status;
  }
}

int gr_stream_read_begin(gr_stream *s) {
  int status = gr_descriptor_begin(&s->d, GR_READ);
  if (status == 0)
    s->at = s->start;
  return status;
}

void gr_stream_read_end(gr_stream *s, bool uses) {
  if (uses)
    s->start = s->at;
  if (s->start == s->end) {
    s->start = s->at = s->end = 0;
    if (s->room > KEPT_MAX) {
      free(s->bytes);
      s->bytes = NULL;
      s->room = 0;
    }
  }
  gr_descriptor_end(&s->d, GR_READ);
}

// --- taking ---

static void take(gr_stream *s, size_t count, const char **bytes, size_t *len) {
  *bytes = s->bytes ? s->bytes + s->at : "";
  *len = count;
  s->at += count;
}

static size_t available(const gr_stream *s) {
  return s->end - s->at;
}

int gr_stream_take_line(gr_stream *s, bool keeps, const char **bytes,
                        size_t *len) {
  size_t seen = 0;
  for (;;) {
    size_t has = available(s);
    const char *from = has ? s->bytes + s->at : "";
    const char *newline =
        has > seen ? memchr(from + seen, '\n', has - seen) : NULL;
    if (newline) {
      take(s, (size_t)(newline - from) + 1, bytes, len);
      *len -= !keeps;
      return 0;
    }
    seen = has;
    int status = fill(s, 1);
    if (status == GR_EOF && has > 0) {
      take(s, has, bytes, len);
      return 0;
    }
    if (status)
      return status;
  }
}

int gr_stream_take_count(gr_stream *s, size_t count, const char **bytes,
                         size_t *len) {
  while (available(s) < count || (count == 0 && available(s) == 0)) {
    size_t missing = count ? count - available(s) : 1;
    int status = fill(s, missing < AHEAD_MAX ? missing : AHEAD_MAX);
    if (status == GR_EOF && available(s) > 0)
      count = available(s);
    else if (status)
      return status;
  }
  take(s, count, bytes, len);
  return 0;
}

int gr_stream_take_all(gr_stream *s, const char **bytes, size_t *len) {
  int status;
  do {
    status = fill(s, 1);
  } while (status == 0);
  if (status != GR_EOF)
    return status;
  take(s, available(s), bytes, len);
  return 0;
}

int gr_stream_take_some(gr_stream *s, const char **bytes, size_t *len) {
  int status = available(s) ? 0 : fill(s, 1);
  if (status)
    return status;
  take(s, available(s), bytes, len);
  return 0;
}

int gr_stream_peek(gr_stream *s, unsigned char *byte) {
  int status = available(s) ? 0 : fill(s, 1);
  if (status == 0)
    *byte = (unsigned char)s->bytes[s->at];
  return status;
}

// --- writing ---

static ssize_t write_parts(gr_stream *s, struct iovec *parts, size_t count) {
  if (!is_socket(s))
    return gr_sys_writev(s->d.fd, parts, count);
  if (count == 1)
    return gr_sys_send(s->d.fd, parts->iov_base, parts->iov_len);
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
  return gr_sys_sendmsg(s->d.fd, &message);
}

// What stock io has not yet written goes first.
static ssize_t write_lent(gr_stream *s, const struct iovec *first) {
  struct iovec part = *first;
  if (!gr_sys_poll(s->d.fd, POLLOUT))
    return UV_EAGAIN;
  if (part.iov_len > LENT_WRITE)
    part.iov_len = LENT_WRITE;
  gr_block_begin();
  if (s->d.fd == STDOUT_FILENO)
    fflush(stdout);
  ssize_t put = write_parts(s, &part, 1);
  gr_block_end();
  gr_enter();
  return put;
}

static ssize_t write_once(gr_stream *s, struct iovec *parts, size_t count) {
  if (atomic_load(&s->is_lent))
    return write_lent(s, parts);
  return write_parts(s, parts, count < PARTS_MAX ? count : PARTS_MAX);
}

// Takes what was written off the parts. How many are left is returned.
static size_t advance(struct iovec **parts, size_t count, size_t written) {
  while (count > 0 && written >= (*parts)->iov_len) {
    written -= (*parts)->iov_len;
    (*parts)->iov_len = 0; // should the caller write the rest again
    ++*parts;
    count--;
  }
  if (count > 0) {
    (*parts)->iov_base = (char *)(*parts)->iov_base + written;
    (*parts)->iov_len -= written;
  }
  return count;
}

// Until the kernel says that there is no room, it tries at once.
static int write_all(gr_stream *s, struct iovec *parts, size_t count) {
  count = advance(&parts, count, 0);
  while (count > 0) {
    ssize_t put = UV_EAGAIN;
    if (gr_descriptor_is_closed(&s->d))
      return GR_CLOSED;
    if (gr_descriptor_is_ready(&s->d, GR_WRITE)) {
      gr_descriptor_try(&s->d, GR_WRITE);
      put = write_once(s, parts, count);
    }
    if (!gr_io_would_block(put)) {
      gr_descriptor_more(&s->d, GR_WRITE);
      if (put < 0)
        return (int)put;
      count = advance(&parts, count, (size_t)put);
      continue;
    }
    int status = gr_descriptor_wait_own(&s->d, GR_WRITE, GR_WAIT_WRITE);
    if (status)
      return status;
  }
  return 0;
}

int gr_stream_write(gr_stream *s, struct iovec *parts, size_t count) {
  int status = gr_descriptor_begin(&s->d, GR_WRITE);
  if (status)
    return status;
  status = write_all(s, parts, count);
  gr_descriptor_end(&s->d, GR_WRITE);
  return status;
}

int gr_stream_shutdown(gr_stream *s) {
  if (!is_socket(s))
    return gr_stream_close(s) ? 0 : GR_CLOSED;
  gr_lock_lock(&s->d.lock); // the number is open while it is held
  int status = s->d.closed ? GR_CLOSED : 0;
  if (!status)
    status = gr_sys_error(shutdown(s->d.fd, SHUT_WR));
  gr_lock_unlock(&s->d.lock);
  return status;
}
