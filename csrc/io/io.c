// SPDX-License-Identifier: MIT
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "sched/monitor.h"

const char *gr_io_message(int err) {
  return uv_strerror(err);
}

const char *gr_io_name(int err) {
  return uv_err_name(err);
}

// --- system calls ---

// Repeats the call while signals interrupt it.
#define RETRY(result, call)                                                    \
  do {                                                                         \
    result = (call);                                                           \
  } while (result < 0 && errno == EINTR)

static ssize_t outcome(ssize_t result) {
  return result < 0 ? uv_translate_sys_error(errno) : result;
}

ssize_t gr_sys_read(int fd, void *to, size_t room) {
  ssize_t got;
  RETRY(got, read(fd, to, room));
  return outcome(got);
}

ssize_t gr_sys_write(int fd, const void *from, size_t len) {
  ssize_t put;
  RETRY(put, write(fd, from, len));
  return outcome(put);
}

ssize_t gr_sys_writev(int fd, const struct iovec *parts, size_t count) {
  ssize_t put;
  RETRY(put, writev(fd, parts, (int)count));
  return outcome(put);
}

ssize_t gr_sys_send(int fd, const void *from, size_t len) {
  ssize_t put;
  RETRY(put, send(fd, from, len, MSG_NOSIGNAL));
  return outcome(put);
}

ssize_t gr_sys_recv(int fd, void *to, size_t room) {
  ssize_t got;
  RETRY(got, recv(fd, to, room, 0));
  return outcome(got);
}

ssize_t gr_sys_sendmsg(int fd, const struct msghdr *message) {
  ssize_t put;
  RETRY(put, sendmsg(fd, message, MSG_NOSIGNAL));
  return outcome(put);
}

ssize_t gr_sys_recvmsg(int fd, struct msghdr *message) {
  ssize_t got;
  RETRY(got, recvmsg(fd, message, 0));
  return outcome(got);
}

int gr_sys_accept(int fd) {
  int conn;
#ifdef __linux__
  RETRY(conn, accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
#else
  RETRY(conn, accept(fd, NULL, NULL));
  if (conn >= 0) {
    fcntl(conn, F_SETFD, FD_CLOEXEC);
    fcntl(conn, F_SETFL, fcntl(conn, F_GETFL) | O_NONBLOCK);
  }
#endif
  return (int)outcome(conn);
}

int gr_sys_error(int result) {
  return result < 0 ? uv_translate_sys_error(errno) : 0;
}

bool gr_sys_poll(int fd, short events) {
  struct pollfd p = {.fd = fd, .events = events};
  int count;
  RETRY(count, poll(&p, 1, 0));
  return count != 0;
}

// --- calls on the monitor's loop ---

// On the stack of its goroutine, which does not leave before `done`. The lock
// keeps the wake from coming before the goroutine is off its stack.
typedef struct call {
  gr_loop_request request;
  int (*run)(uv_loop_t *loop, void *arg);
  void *arg;
  int result;
  gr_goroutine *g;

  gr_lock lock;
  // Guarded by lock.
  bool done;
  gr_ticket ticket; // of the present wait
} call;

static void run_call(gr_loop *loop, gr_loop_request *request) {
  call *c = GR_CONTAINER(request, call, request);
  c->result = c->run(&loop->uv, c->arg);
  gr_goroutine *g = c->g;
  gr_lock_lock(&c->lock);
  c->done = true;
  bool wakes = gr_wait_claim(g, c->ticket, GR_CLAIM_OBJECT);
  gr_lock_unlock(&c->lock); // *c may be gone now if somebody else has woken g
  if (wakes)
    gr_ready_woken(g);
}

static void submit(gr_goroutine *g, void *arg) {
  (void)g;
  gr_loop_submit(gr_monitor_loop(), arg);
}

static void unlock(gr_goroutine *g, void *arg) {
  (void)g;
  gr_lock_unlock(arg);
}

int gr_io_on_loop(int (*run)(uv_loop_t *loop, void *arg), void *arg) {
  gr_goroutine *g = gr_self();
  call c = {.request.run = run_call, .run = run, .arg = arg, .g = g};
  gr_lock_init(&c.lock, GR_RANK_CHANNEL);
  unsigned ignored = g->ignored;
  gr_wait_ignore_all(); // it does not leave before the call is done
  atomic_fetch_add(&gr_the_sched.outside_waits, 1);
  c.ticket = gr_wait_open(g);
  gr_park(GR_WAIT_REQUEST, NULL, GR_NEVER, submit, &c.request);
  for (;;) { // an interrupt or a cancellation may wake it earlier
    gr_lock_lock(&c.lock);
    if (c.done)
      break;
    gr_wait_ignore_all();
    c.ticket = gr_wait_open(g);
    gr_park(GR_WAIT_REQUEST, NULL, GR_NEVER, unlock, &c.lock);
  }
  gr_lock_unlock(&c.lock);
  atomic_fetch_sub(&gr_the_sched.outside_waits, 1);
  g->ignored = ignored;
  return c.result;
}
