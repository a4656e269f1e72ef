// SPDX-License-Identifier: MIT
// A process belongs to its handles and, until it has ended, to the children.
// The child's ends of pipes block, as programs expect; ours do not.
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync/waiter.h"

void gr_process_retain(gr_process *p) {
  gr_refs_retain(&p->refs);
}

void gr_process_release(gr_process *p) {
  if (!gr_refs_release(&p->refs))
    return;
  for (int i = 0; i < 3; i++)
    if (p->streams[i])
      gr_stream_release(p->streams[i]);
  free(p);
}

// --- the children, under the token of the monitor's loop ---

static gr_list children = {{&children.head, &children.head}};
static uv_signal_t sigchld;
static bool has_handle;

// After waitpid the number may be another process's: gr_process_kill uses it
// under the same lock. True when the child has ended.
static bool reap(gr_process *p) {
  int status, done;
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&p->lock);
  do {
    done = (int)waitpid(p->pid, &status, WNOHANG);
  } while (done < 0 && errno == EINTR);
  if (done != 0) {
    p->has_ended = true;
    if (done < 0)
      p->err = uv_translate_sys_error(errno);
    else if (WIFSIGNALED(status))
      p->signal = WTERMSIG(status);
    else
      p->code = WEXITSTATUS(status);
    gr_woken_add_all(&woken, &p->waiters);
  }
  gr_lock_unlock(&p->lock);
  gr_ready_events(woken.first, false);
  return done != 0;
}

static void reap_all(void);

// The thread sanitizer keeps a signal that comes while a goroutine runs until
// that very goroutine calls something that it knows, and it may be waiting for
// its child: there they are looked at every now and then as well.
#ifdef __SANITIZE_THREAD__
static uv_timer_t looks;

static void on_time(uv_timer_t *uv) {
  (void)uv;
  reap_all();
}

static void look_again(uv_loop_t *loop) {
  static bool has_timer;
  if (!has_timer)
    has_timer = uv_timer_init(loop, &looks) == 0;
  if (!uv_is_active((uv_handle_t *)&looks))
    uv_timer_start(&looks, on_time, 10, 10);
}

static void stop_looking(void) {
  uv_timer_stop(&looks);
}
#else
static void look_again(uv_loop_t *loop) {
  (void)loop;
}

static void stop_looking(void) {}
#endif

static void reap_all(void) {
  for (gr_link *at = children.head.next, *next; at != &children.head;
       at = next) {
    gr_process *p = GR_CONTAINER(at, gr_process, link);
    next = at->next;
    if (!reap(p))
      continue;
    gr_list_remove(&p->link);
    gr_process_release(p);
  }
  if (gr_list_is_empty(&children)) {
    uv_signal_stop(&sigchld);
    stop_looking();
  }
}

static void on_sigchld(uv_signal_t *uv, int number) {
  (void)uv, (void)number;
  reap_all();
}

// A child that has ended meanwhile is found here.
static int adopt(uv_loop_t *loop, void *arg) {
  gr_process *p = arg;
  int err = has_handle ? 0 : uv_signal_init(loop, &sigchld);
  has_handle = !err;
  if (!err)
    err = uv_signal_start(&sigchld, on_sigchld, SIGCHLD);
  if (err)
    return err;
  gr_process_retain(p);
  gr_list_push(&children, &p->link);
  look_again(loop);
  reap_all();
  return 0;
}

// --- starting ---

static int make_pipe(int fds[2]) {
#ifdef __linux__
  return gr_sys_error(pipe2(fds, O_CLOEXEC));
#else
  int err = gr_sys_error(pipe(fds));
  for (int i = 0; !err && i < 2; i++)
    fcntl(fds[i], F_SETFD, FD_CLOEXEC);
  return err;
#endif
}

// The child's end is to be none of the numbers that it will be made to be.
static int move_up(int *fd) {
  int low = *fd;
  if (low >= 3)
    return 0;
  *fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
  int err = gr_sys_error(*fd);
  close(low);
  return err;
}

static int set_blocking(int fd, bool blocks) {
  int flags = fcntl(fd, F_GETFL);
  return gr_sys_error(
      fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK));
}

// Our end of a pipe as a stream; *child is the other end, to be closed.
static int open_pipe(int number, gr_stream **ours, int *child) {
  int fds[2], our_end = number == 0;
  int err = make_pipe(fds);
  if (err)
    return err;
  *child = fds[!our_end];
  *ours = gr_stream_new(fds[our_end], GR_STREAM_PIPE);
  if (!*ours)
    return GR_NOMEM;
  err = set_blocking(fds[our_end], false);
  return err ? err : move_up(child);
}

// A stream may be closed by others meanwhile: the child gets a duplicate. From
// now on the open file is one that blocks, as programs expect.
static int lend(gr_stream *stream, int *child) {
  gr_lock_lock(&stream->d.lock); // the number is open while it is held
  int err = stream->d.closed ? UV_EBADF : 0;
  if (!err) {
    *child = fcntl(stream->d.fd, F_DUPFD_CLOEXEC, 3);
    err = gr_sys_error(*child);
  }
  gr_lock_unlock(&stream->d.lock);
  if (err)
    return err;
  atomic_store(&stream->is_lent, true);
  return set_blocking(*child, true);
}

static int prepare_stdio(gr_process *p, int number, const gr_stdio *stdio,
                         int *child) {
  switch (stdio->kind) {
  case GR_STDIO_PIPE:
    return open_pipe(number, &p->streams[number], child);
  case GR_STDIO_STREAM:
    return lend(stdio->stream, child);
  default:
    return 0;
  }
}

static gr_process *new_process(void) {
  gr_process *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  gr_refs_init(&p->refs);
  gr_lock_init(&p->lock, GR_RANK_CHANNEL);
  gr_list_init(&p->waiters);
  gr_link_init(&p->link);
  return p;
}

// Nobody could wait for it.
static void abandon(gr_process *p) {
  kill(p->pid, SIGKILL);
  gr_block_begin();
  while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
    ;
  gr_block_end();
  gr_enter();
}

static int start(gr_process *p, const gr_spawn *spawn, int child[3]) {
  int err = 0;
  for (int i = 0; !err && i < 3; i++)
    err = prepare_stdio(p, i, &spawn->stdio[i], &child[i]);
  if (err)
    return err;
  gr_block_begin();
  err = gr_spawn_start(spawn, child, &p->pid);
  gr_block_end();
  gr_enter();
  return err;
}

int gr_process_spawn(const gr_spawn *spawn, gr_process **out) {
  int child[3] = {-1, -1, -1};
  gr_process *p = new_process();
  if (!p)
    return GR_NOMEM;
  int err = start(p, spawn, child);
  for (int i = 0; i < 3; i++)
    if (child[i] >= 0)
      close(child[i]);
  if (!err) {
    err = gr_io_on_loop(adopt, p);
    if (err)
      abandon(p);
  }
  if (err)
    gr_process_release(p);
  else
    *out = p;
  return err;
}

// --- afterwards ---

int gr_process_wait(gr_process *p, uint64_t deadline_ns) {
  gr_waiter self;
  gr_waiting waiting = {&p->lock,        &p->waiters, false,
                        GR_WAIT_PROCESS, p,           deadline_ns};
  gr_status status = GR_OK;
  gr_lock_lock(&p->lock);
  if (!p->has_ended && deadline_ns == GR_POLL)
    status = GR_TIMEOUT;
  if (p->has_ended || status != GR_OK) {
    gr_lock_unlock(&p->lock);
    return (int)status;
  }
  atomic_fetch_add(&gr_the_sched.outside_waits, 1);
  if (!gr_waiter_park(&self, &waiting)) {
    gr_lock_unlock(&p->lock);
    status = gr_wait_status(gr_self());
  }
  atomic_fetch_sub(&gr_the_sched.outside_waits, 1);
  return (int)status;
}

int gr_process_kill(gr_process *p, int signal) {
  gr_lock_lock(&p->lock);
  int err = p->has_ended ? UV_ESRCH : gr_sys_error(kill(p->pid, signal));
  gr_lock_unlock(&p->lock);
  return err;
}
