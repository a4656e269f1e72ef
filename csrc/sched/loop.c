// SPDX-License-Identifier: MIT
// Deadlines of a sleep are told to the kernel in nanoseconds by a timerfd that
// the loop watches: libuv's own timers know whole milliseconds and count from
// the loop's cached time, so that they may fire early.
#include "sched/loop.h"

#include <errno.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#endif

enum { SLEEP_MIN_NS = 50000 }; // so late may a deadline be for company

#ifdef __linux__
// The number that an event descriptor or timer holds, which it has no longer.
static void take_number(int fd) {
  uint64_t number;
  ssize_t got = read(fd, &number, sizeof number);
  (void)got;
}

// The descriptor first: a wake in between is one of this sleep, and what it was
// for is seen by who goes on; acquire, pairs with the exchange in gr_loop_wake.
static void on_wake(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  gr_loop *loop = poll->data;
  take_number(loop->wake_fd);
  atomic_exchange(&loop->is_woken, false);
}

static void on_tick(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  gr_loop *loop = poll->data;
  take_number(loop->timer_fd);
  loop->alarm_ns = GR_NEVER;
}

static int watch(gr_loop *loop, uv_poll_t *poll, int fd, uv_poll_cb run) {
  if (fd < 0)
    return uv_translate_sys_error(errno);
  poll->data = loop;
  int err = uv_poll_init(&loop->uv, poll, fd);
  return err ? err : uv_poll_start(poll, UV_READABLE, run);
}

static int open_own(gr_loop *loop) {
  loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int err = watch(loop, &loop->wakes, loop->wake_fd, on_wake);
  loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  return err ? err : watch(loop, &loop->ticks, loop->timer_fd, on_tick);
}

static void close_own(gr_loop *loop) {
  if (loop->wake_fd >= 0)
    close(loop->wake_fd);
  if (loop->timer_fd >= 0)
    close(loop->timer_fd);
}

// Not by libuv: whoever it wakes waits until the waker has left the call, which
// the kernel may have put off the CPU for the one that was woken.
void gr_loop_wake(gr_loop *loop) {
  uint64_t one = 1;
  if (atomic_exchange(&loop->is_woken, true))
    return;
  ssize_t put = write(loop->wake_fd, &one, sizeof one);
  (void)put;
}
#else
static void on_wake(uv_async_t *async) {
  (void)async; // returning from the sleep is all
}

static void on_timer(uv_timer_t *timer) {
  gr_loop *loop = timer->data;
  loop->alarm_ns = GR_NEVER;
}

static int open_own(gr_loop *loop) {
  loop->timer.data = loop;
  int err = uv_timer_init(&loop->uv, &loop->timer);
  return err ? err : uv_async_init(&loop->uv, &loop->async, on_wake);
}

static void close_own(gr_loop *loop) {
  (void)loop;
}

void gr_loop_wake(gr_loop *loop) {
  uv_async_send(&loop->async);
}
#endif

int gr_loop_init(gr_loop *loop) {
  int err = uv_loop_init(&loop->uv);
  if (err)
    return err;
  loop->alarm_ns = GR_NEVER;
  atomic_init(&loop->token, false);
  gr_lock_init(&loop->lock, GR_RANK_LEAF);
  loop->requests = NULL;
  loop->requests_end = &loop->requests;
  err = open_own(loop);
  if (err)
    gr_loop_fini(loop);
  return err;
}

static void close_handle(uv_handle_t *handle, void *unused) {
  (void)unused;
  if (!uv_is_closing(handle))
    uv_close(handle, NULL);
}

void gr_loop_fini(gr_loop *loop) {
  uv_walk(&loop->uv, close_handle, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  close_own(loop);
  GR_ASSERT(uv_loop_close(&loop->uv) == 0);
}

// Many that are near each other share a sleep: the timer's own cost, and that
// of going to sleep, is that of ten goroutines. One that comes too early, for a
// deadline that is gone, does no harm, and is cheaper than to change it.
static void set_alarm(gr_loop *loop, uint64_t deadline_ns) {
  if (deadline_ns != GR_NEVER && deadline_ns < gr_now_ns() + SLEEP_MIN_NS)
    deadline_ns = gr_now_ns() + SLEEP_MIN_NS;
  if (loop->alarm_ns <= deadline_ns)
    return;
  loop->alarm_ns = deadline_ns;
#ifdef __linux__
  struct itimerspec spec = {0};
  if (deadline_ns != GR_NEVER) {
    spec.it_value.tv_sec = (time_t)(deadline_ns / 1000000000u);
    spec.it_value.tv_nsec = (long)(deadline_ns % 1000000000u);
  }
  timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
#else
  uint64_t now = gr_now_ns();
  uv_update_time(&loop->uv);
  if (deadline_ns == GR_NEVER)
    uv_timer_stop(&loop->timer);
  else
    uv_timer_start(&loop->timer, on_timer,
                   deadline_ns <= now ? 0 : (deadline_ns - now) / 1000000 + 1,
                   0);
#endif
}

static bool try_token(gr_loop *loop) {
  return !atomic_load_explicit(&loop->token, memory_order_relaxed) &&
         !atomic_exchange_explicit(&loop->token, true, memory_order_acquire);
}

static gr_loop_request *take_requests(gr_loop *loop) {
  gr_lock_lock(&loop->lock);
  gr_loop_request *all = loop->requests;
  loop->requests = NULL;
  loop->requests_end = &loop->requests;
  gr_lock_unlock(&loop->lock);
  return all;
}

static bool has_requests(gr_loop *loop) {
  gr_lock_lock(&loop->lock);
  bool any = loop->requests != NULL;
  gr_lock_unlock(&loop->lock);
  return any;
}

static void run_requests(gr_loop *loop) {
  for (gr_loop_request *r = take_requests(loop), *next; r; r = next) {
    next = r->next; // r may be gone after run
    r->run(loop, r);
  }
}

static void release_token(gr_loop *loop) {
  for (;;) {
    run_requests(loop);
    // seq_cst, pairs with the exchange in try_token after a push
    atomic_store(&loop->token, false);
    if (!has_requests(loop) || !try_token(loop))
      return;
  }
}

void gr_loop_run(gr_loop *loop, uint64_t deadline_ns) {
  if (!try_token(loop))
    return;
  run_requests(loop);
  if (deadline_ns == GR_POLL) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
  } else {
    set_alarm(loop, deadline_ns);
    uv_run(&loop->uv, UV_RUN_ONCE);
  }
  release_token(loop);
}

void gr_loop_submit(gr_loop *loop, gr_loop_request *request) {
  request->next = NULL;
  gr_lock_lock(&loop->lock);
  *loop->requests_end = request;
  loop->requests_end = &request->next;
  gr_lock_unlock(&loop->lock); // an exchange: full barrier before try_token
  atomic_thread_fence(memory_order_seq_cst);
  if (try_token(loop))
    release_token(loop);
  else
    gr_loop_wake(loop); // its holder may be asleep
}

bool gr_loop_seal(gr_loop *loop, uint64_t end_ns) {
  while (!try_token(loop)) {
    if (gr_now_ns() >= end_ns)
      return false;
    gr_loop_wake(loop); // its holder may be asleep
    usleep(20);
  }
  return true;
}
