// SPDX-License-Identifier: MIT
// How operations of this layer end, and what libuv does for it.
//
// A result is 0, one of libuv's error codes (negative; UV_EOF at the end of a
// stream), or a positive gr_status, to which GR_BUSY is added.
#ifndef GR_IO_H
#define GR_IO_H

#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include "base/base.h"
#include "base/lock.h"
#include "base/refs.h"
#include "sched/goroutine.h"
#include "sched/sched.h"

enum {
  GR_EOF = UV_EOF, // the end of a stream
  GR_BUSY = 100,   // another goroutine does the same with this object
};

// An error's message and its name ("ECONNREFUSED"). Static.
const char *gr_io_message(int err);
const char *gr_io_name(int err);

// System calls that give what they have done or libuv's error code; none is
// interrupted. Functions of their own, for the address of errno must not be
// kept over a switch to another thread.
ssize_t gr_sys_read(int fd, void *to, size_t room);
ssize_t gr_sys_write(int fd, const void *from, size_t len);
ssize_t gr_sys_writev(int fd, const struct iovec *parts, size_t count);
ssize_t gr_sys_send(int fd, const void *from, size_t len); // EPIPE, no signal
ssize_t gr_sys_recv(int fd, void *to, size_t room);
ssize_t gr_sys_sendmsg(int fd, const struct msghdr *message); // the same
ssize_t gr_sys_recvmsg(int fd, struct msghdr *message);
int gr_sys_accept(int fd);    // the descriptor does not block, nor is inherited
int gr_sys_error(int result); // 0, or the error of a call that gave -1
bool gr_sys_poll(int fd, short events); // ready now?

static inline bool gr_io_would_block(ssize_t result) {
  return result == UV_EAGAIN;
}

// Calls run(loop, arg) under the token of the monitor's loop, which is always
// run, and returns what it gives. Parks. Running goroutine, in the runtime.
int gr_io_on_loop(int (*run)(uv_loop_t *loop, void *arg), void *arg);

#endif
