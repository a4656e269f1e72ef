// SPDX-License-Identifier: MIT
// Listeners and datagram sockets: descriptors that any number of goroutines
// may use at the same time. An event wakes one of those who wait; who has
// succeeded wakes the next, for there may be more.
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "io/socket.h"

static gr_socket *socket_of(gr_pollee *pollee) {
  return GR_CONTAINER(GR_CONTAINER(pollee, gr_descriptor, pollee), gr_socket,
                      d);
}

static void free_socket(gr_pollee *pollee) {
  gr_socket *s = socket_of(pollee);
  free(s->path);
  free(s);
}

gr_socket *gr_socket_wrap(int fd, gr_stream_kind kind) {
  gr_socket *s = calloc(1, sizeof *s);
  if (!s) {
    close(fd);
    return NULL;
  }
  gr_descriptor_init(&s->d, fd, free_socket);
  s->d.is_shared = true;
  gr_refs_init(&s->refs);
  s->kind = kind;
  return s;
}

void gr_socket_retain(gr_socket *s) {
  gr_refs_retain(&s->refs);
}

bool gr_socket_close(gr_socket *s) {
  if (!gr_descriptor_close(&s->d))
    return false;
  if (s->path)
    unlink(s->path);
  return true;
}

void gr_socket_release(gr_socket *s) {
  if (!gr_refs_release(&s->refs))
    return;
  gr_socket_close(s);
  gr_descriptor_free(&s->d);
}

// Tries `once` until it does not find that it would block.
typedef struct attempt {
  gr_socket *s;
  gr_direction direction;
  gr_wait_kind kind;
  uint64_t deadline_ns;
  struct msghdr message;
} attempt;

static int repeat(attempt *a, ssize_t (*once)(attempt *), ssize_t *result) {
  gr_descriptor *d = &a->s->d;
  int status = gr_descriptor_begin(d, a->direction);
  if (status)
    return status;
  do {
    ssize_t done = UV_EAGAIN;
    if (gr_descriptor_is_ready(d, a->direction)) {
      gr_descriptor_try(d, a->direction);
      done = once(a);
    }
    if (!gr_io_would_block(done)) {
      *result = done;
      gr_descriptor_pass_on(d, a->direction);
      break;
    }
    status = gr_descriptor_wait(d, a->direction, a->kind, &a->deadline_ns);
  } while (status == 0);
  gr_descriptor_end(d, a->direction);
  if (status == 0 && *result < 0)
    return (int)*result;
  return status;
}

// --- accepting ---

// A connection that was given up while it waited to be accepted is none.
static ssize_t accept_once(attempt *a) {
  int fd;
  do {
    fd = gr_sys_accept(a->s->d.fd);
  } while (fd == UV_ECONNABORTED);
  return fd;
}

int gr_accept(gr_socket *s, uint64_t deadline_ns, gr_stream **out) {
  attempt a = {s, GR_READ, GR_WAIT_ACCEPT, deadline_ns, {0}};
  ssize_t fd;
  int status = repeat(&a, accept_once, &fd);
  if (status)
    return status;
  *out = gr_stream_new((int)fd, s->kind);
  return *out ? 0 : GR_NOMEM;
}

// --- datagrams ---

static ssize_t receive_once(attempt *a) {
  return gr_sys_recvmsg(a->s->d.fd, &a->message);
}

static ssize_t send_once(attempt *a) {
  return gr_sys_sendmsg(a->s->d.fd, &a->message);
}

int gr_receive(gr_socket *s, void *to, size_t room, uint64_t deadline_ns,
               size_t *len, gr_address *from) {
  struct iovec part = {to, room};
  attempt a = {s,
               GR_READ,
               GR_WAIT_READ,
               deadline_ns,
               {.msg_name = &from->any,
                .msg_namelen = sizeof *from - offsetof(gr_address, any),
                .msg_iov = &part,
                .msg_iovlen = 1}};
  ssize_t got;
  int status = repeat(&a, receive_once, &got);
  if (status)
    return status;
  from->len = a.message.msg_namelen;
  *len = (size_t)got;
  return 0;
}

int gr_send(gr_socket *s, const void *bytes, size_t len, const gr_address *to) {
  struct iovec part = {(void *)(uintptr_t)bytes, len};
  attempt a = {s,
               GR_WRITE,
               GR_WAIT_WRITE,
               GR_NEVER,
               {.msg_name = (void *)(uintptr_t)&to->any,
                .msg_namelen = to->len,
                .msg_iov = &part,
                .msg_iovlen = 1}};
  ssize_t put;
  return repeat(&a, send_once, &put);
}
