// SPDX-License-Identifier: MIT
// Not under the loop's token: the kernel's own set may be changed and read by
// any thread, so that only the first use of a set asks for the token.
#include "sched/poller.h"

#include <errno.h>
#include <unistd.h>

#include "sched/monitor.h"
#include "sched/processor.h"
#include "sched/sched.h"

enum { BATCH = 64, UNWATCHED_NS = 500000 };

// --- the kernel's sets ---

typedef struct event {
  void *tag;
  unsigned events;
} event;

#ifdef __linux__
#include <sys/epoll.h>

static int set_new(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? uv_translate_sys_error(errno) : fd;
}

static int set_add(int set, int fd, void *tag) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                          .data.ptr = tag};
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) ? uv_translate_sys_error(errno)
                                               : 0;
}

static void set_remove(int set, int fd) {
  struct epoll_event unused = {0};
  epoll_ctl(set, EPOLL_CTL_DEL, fd, &unused);
}

static bool set_add_once(int set, int fd, void *tag) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = tag};
  return epoll_ctl(set, EPOLL_CTL_MOD, fd, &e) == 0 ||
         (errno == ENOENT && epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
}

static unsigned set_take(int set, event *events, unsigned room) {
  struct epoll_event got[BATCH];
  int count;
  do {
    count = epoll_wait(set, got, room < BATCH ? (int)room : BATCH, 0);
  } while (count < 0 && errno == EINTR);
  for (int i = 0; i < count; i++) {
    uint32_t e = got[i].events;
    events[i].tag = got[i].data.ptr;
    events[i].events =
        (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? GR_EVENT_READ : 0) |
        (e & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? GR_EVENT_WRITE : 0) |
        (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? GR_EVENT_HANGUP : 0);
  }
  return count < 0 ? 0 : (unsigned)count;
}
#else
#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>

static int set_new(void) {
  int fd = kqueue();
  if (fd < 0)
    return uv_translate_sys_error(errno);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

static int set_add(int set, int fd, void *tag) {
  struct kevent both[2];
  EV_SET(&both[0], fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, tag);
  EV_SET(&both[1], fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, tag);
  return kevent(set, both, 2, NULL, 0, NULL) ? uv_translate_sys_error(errno)
                                             : 0;
}

static void set_remove(int set, int fd) {
  struct kevent both[2];
  EV_SET(&both[0], fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
  EV_SET(&both[1], fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
  kevent(set, &both[0], 1, NULL, 0, NULL);
  kevent(set, &both[1], 1, NULL, 0, NULL);
}

static bool set_add_once(int set, int fd, void *tag) {
  struct kevent one;
  EV_SET(&one, fd, EVFILT_READ, EV_ADD | EV_ONESHOT, 0, 0, tag);
  return kevent(set, &one, 1, NULL, 0, NULL) == 0;
}

static unsigned set_take(int set, event *events, unsigned room) {
  struct kevent got[BATCH];
  struct timespec zero = {0, 0};
  int count =
      kevent(set, NULL, 0, got, room < BATCH ? (int)room : BATCH, &zero);
  for (int i = 0; i < count; i++) {
    events[i].tag = got[i].udata;
    events[i].events =
        (got[i].filter == EVFILT_READ ? GR_EVENT_READ : GR_EVENT_WRITE) |
        (got[i].flags & (EV_EOF | EV_ERROR) ? GR_EVENT_HANGUP : 0);
  }
  return count < 0 ? 0 : (unsigned)count;
}
#endif

// --- a processor's set ---

bool gr_poller_init(gr_poller *poller) {
  atomic_init(&poller->is_used, false);
  gr_lock_init(&poller->lock, GR_RANK_LEAF);
  poller->fd = set_new();
  return poller->fd >= 0;
}

void gr_poller_fini(gr_poller *poller) {
  if (poller->is_watched)
    uv_poll_stop(&poller->watch);
  close(poller->fd);
}

// Ends the sleep. The worker collects when its processor is in use again.
static void on_events(uv_poll_t *watch, int status, int events) {
  (void)watch, (void)status, (void)events;
}

// Under the token of the processor's loop. If it cannot watch, the events are
// collected between goroutines and by the monitor all the same.
static void watch_set(gr_loop *loop, gr_loop_request *request) {
  gr_poller *poller = GR_CONTAINER(request, gr_poller, request);
  if (uv_poll_init(&loop->uv, &poller->watch, poller->fd) != 0)
    return;
  poller->is_watched =
      uv_poll_start(&poller->watch, UV_READABLE, on_events) == 0;
}

void gr_poller_use(gr_processor *p) {
  gr_poller *poller = &p->poller;
  if (atomic_load_explicit(&poller->is_used, memory_order_relaxed) ||
      atomic_exchange(&poller->is_used, true))
    return;
  poller->request.run = watch_set;
  gr_loop_submit(&p->loop, &poller->request);
  gr_monitor_expect_within(UNWATCHED_NS); // its rounds left this set out
}

int gr_poller_add(gr_processor *p, gr_pollee *pollee, int fd) {
  pollee->home = &p->poller;
  int err = set_add(p->poller.fd, fd, pollee);
  if (err)
    pollee->home = NULL;
  return err;
}

void gr_poller_remove(gr_pollee *pollee, int fd) {
  if (pollee->home)
    set_remove(pollee->home->fd, fd);
}

void gr_pollee_free(gr_pollee *pollee) {
  gr_poller *poller = pollee->home;
  if (poller) {
    gr_lock_lock(&poller->lock);
    bool later = poller->collecting;
    if (later) {
      pollee->next_dead = poller->dead;
      poller->dead = pollee;
    }
    gr_lock_unlock(&poller->lock);
    if (later)
      return;
  }
  pollee->free(pollee);
}

// --- collecting ---

static bool begin(gr_poller *poller) {
  gr_lock_lock(&poller->lock);
  bool mine = !poller->collecting;
  poller->collecting = true;
  gr_lock_unlock(&poller->lock);
  return mine;
}

static void end(gr_poller *poller) {
  gr_lock_lock(&poller->lock);
  poller->collecting = false;
  gr_pollee *dead = poller->dead;
  poller->dead = NULL;
  gr_lock_unlock(&poller->lock);
  for (gr_pollee *next; dead; dead = next) {
    next = dead->next_dead;
    dead->free(dead);
  }
}

unsigned gr_poller_collect(gr_poller *poller, bool idle) {
  if (!atomic_load_explicit(&poller->is_used, memory_order_relaxed) ||
      !begin(poller))
    return 0;
  unsigned looks = atomic_load_explicit(&poller->looks, memory_order_relaxed);
  if (idle) // not the monitor
    atomic_store_explicit(&poller->looks, looks + 1, memory_order_relaxed);
  event events[BATCH];
  gr_goroutine *woken = NULL;
  unsigned count = set_take(poller->fd, events, BATCH);
  for (unsigned i = 0; i < count; i++) {
    gr_pollee *pollee = events[i].tag;
    pollee->deliver(pollee, events[i].events, &woken);
  }
  end(poller);
  return gr_ready_events(woken, idle);
}

// --- the monitor's set of sets ---

int gr_watch_new(void) {
  return set_new();
}

bool gr_watch_arm(int watch, gr_poller *poller) {
  return set_add_once(watch, poller->fd, poller);
}

unsigned gr_watch_take(int watch, gr_poller **pollers, unsigned room) {
  event events[BATCH];
  unsigned count = set_take(watch, events, room < BATCH ? room : BATCH);
  for (unsigned i = 0; i < count; i++)
    pollers[i] = events[i].tag;
  return count;
}
