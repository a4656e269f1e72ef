// SPDX-License-Identifier: MIT
// A process belongs to its handles and, until its handle of libuv is closed, to
// libuv. The child's ends of pipes block, as programs expect; ours do not.
#include "io/process.h"

#include <fcntl.h>
#include <stdlib.h>
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

static gr_process *process_of(uv_handle_t *uv) {
  return GR_CONTAINER((uv_process_t *)uv, gr_process, uv);
}

static void on_closed(uv_handle_t *uv) {
  gr_process_release(process_of(uv));
}

// On the monitor's loop, which has just waited for the child: its number may be
// another process's from now on, and gr_process_kill comes here, too.
static void on_exit_of_child(uv_process_t *uv, int64_t code, int signal) {
  gr_process *p = process_of((uv_handle_t *)uv);
  gr_woken woken;
  gr_woken_init(&woken);
  gr_lock_lock(&p->lock);
  p->has_ended = true;
  p->code = (int)code;
  p->signal = signal;
  gr_woken_add_all(&woken, &p->waiters);
  gr_lock_unlock(&p->lock);
  gr_ready_events(woken.first, false);
  uv_close((uv_handle_t *)uv, on_closed);
}

// --- starting ---

typedef struct start {
  gr_process *process;
  uv_process_options_t options;
} start;

static int start_on_loop(uv_loop_t *loop, void *arg) {
  start *s = arg;
  gr_process *p = s->process;
  gr_process_retain(p); // libuv's, until on_closed
  int err = uv_spawn(loop, &p->uv, &s->options);
  if (err)
    uv_close((uv_handle_t *)&p->uv, on_closed);
  else
    p->pid = p->uv.pid;
  return err;
}

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

// Our end of a pipe as a stream; *child is the other end, to be closed.
static int open_pipe(int number, gr_stream **ours, int *child) {
  int fds[2], our_end = number == 0;
  int err = make_pipe(fds);
  if (err)
    return err;
  fcntl(fds[our_end], F_SETFL, fcntl(fds[our_end], F_GETFL) | O_NONBLOCK);
  *child = fds[!our_end];
  *ours = gr_stream_new(fds[our_end], GR_STREAM_PIPE);
  return *ours ? 0 : GR_NOMEM;
}

// A stream may be closed by others meanwhile: the child gets a duplicate. From
// now on the open file may be one that blocks.
static int lend(gr_stream *stream, int *child) {
  gr_lock_lock(&stream->d.lock); // the number is open while it is held
  int err = stream->d.closed ? UV_EBADF : 0;
  if (!err) {
    *child = fcntl(stream->d.fd, F_DUPFD_CLOEXEC, 3);
    err = gr_sys_error(*child);
  }
  gr_lock_unlock(&stream->d.lock);
  if (!err)
    atomic_store(&stream->is_lent, true);
  return err;
}

static int prepare_stdio(gr_process *p, int number, const gr_stdio *stdio,
                         uv_stdio_container_t *container, int *child) {
  int err = 0;
  container->flags = UV_INHERIT_FD;
  container->data.fd = number;
  switch (stdio->kind) {
  case GR_STDIO_INHERIT:
    break;
  case GR_STDIO_NULL:
    container->flags = UV_IGNORE; // libuv opens /dev/null there
    break;
  case GR_STDIO_PIPE:
    err = open_pipe(number, &p->streams[number], child);
    container->data.fd = *child;
    break;
  case GR_STDIO_STREAM:
    err = lend(stdio->stream, child);
    container->data.fd = *child;
    break;
  }
  return err;
}

static gr_process *new_process(void) {
  gr_process *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  gr_refs_init(&p->refs);
  gr_lock_init(&p->lock, GR_RANK_CHANNEL);
  gr_list_init(&p->waiters);
  return p;
}

int gr_process_spawn(const gr_spawn *spawn, gr_process **out) {
  uv_stdio_container_t stdio[3];
  int child[3] = {-1, -1, -1}, err = 0;
  gr_process *p = new_process();
  if (!p)
    return GR_NOMEM;
  for (int i = 0; !err && i < 3; i++)
    err = prepare_stdio(p, i, &spawn->stdio[i], &stdio[i], &child[i]);
  start s = {p,
             {.exit_cb = on_exit_of_child,
              .file = spawn->args[0],
              .args = spawn->args,
              .env = spawn->env,
              .cwd = spawn->cwd,
              .stdio_count = 3,
              .stdio = stdio}};
  if (!err)
    err = gr_io_on_loop(start_on_loop, &s);
  for (int i = 0; i < 3; i++)
    if (child[i] >= 0)
      close(child[i]);
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

typedef struct shot {
  gr_process *process;
  int signal;
} shot;

static int kill_on_loop(uv_loop_t *loop, void *arg) {
  (void)loop;
  shot *s = arg;
  if (uv_is_closing((uv_handle_t *)&s->process->uv))
    return UV_ESRCH;
  return uv_process_kill(&s->process->uv, s->signal);
}

int gr_process_kill(gr_process *p, int signal) {
  shot s = {p, signal};
  gr_lock_lock(&p->lock);
  bool has_ended = p->has_ended;
  gr_lock_unlock(&p->lock);
  return has_ended ? UV_ESRCH : gr_io_on_loop(kill_on_loop, &s);
}
