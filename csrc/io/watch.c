// SPDX-License-Identifier: MIT
// A watch belongs to its channel, and to libuv until its handle is closed.
#include "io/watch.h"

#include <stdlib.h>
#include <uv.h>

#include "sched/monitor.h"

typedef struct watch {
  gr_refs refs;
  gr_loop_request request; // to close it, of the garbage collector
  uv_fs_event_t uv;        // under the token of the monitor's loop

  gr_family *family; // constant, once it counts
  gr_lock lock;      // taken before the channel's
  // Guarded by lock.
  gr_channel *channel; // NULL when it is freed
  bool counts;         // as a wait that can end
} watch;

static void release(watch *w) {
  if (gr_refs_release(&w->refs))
    free(w);
}

// A channel that goes waits for the lock before it is freed (on_free).
static void tell(watch *w, gr_block *event) {
  gr_goroutine *woken = NULL;
  gr_message m = {.kind = GR_MESSAGE_BLOCK, .block = event};
  gr_lock_lock(&w->lock);
  bool told = w->channel && gr_channel_offer(w->channel, &m, &woken);
  gr_lock_unlock(&w->lock);
  if (!told)
    gr_message_drop(&m);
  if (woken)
    gr_ready_woken(woken);
}

static void on_event(uv_fs_event_t *uv, const char *name, int events,
                     int status) {
  const char *pairs[] = {"event", events & UV_RENAME ? "rename" : "change",
                         "name", name ? name : ""};
  gr_block *event = status < 0 ? NULL : gr_block_of_texts(pairs, 2);
  if (event)
    tell(GR_CONTAINER(uv, watch, uv), event);
}

// --- coming and going ---

static void on_closed(uv_handle_t *uv) {
  release(GR_CONTAINER((uv_fs_event_t *)uv, watch, uv));
}

static int close_watch(uv_loop_t *loop, void *arg) {
  (void)loop;
  watch *w = arg;
  if (!uv_is_closing((uv_handle_t *)&w->uv))
    uv_close((uv_handle_t *)&w->uv, on_closed);
  return 0;
}

static void run_close(gr_loop *loop, gr_loop_request *request) {
  watch *w = GR_CONTAINER(request, watch, request);
  close_watch(&loop->uv, w);
  release(w);
}

static void forget(watch *w, bool is_freed) {
  gr_lock_lock(&w->lock);
  bool counted = w->counts;
  w->counts = false;
  if (is_freed)
    w->channel = NULL;
  gr_lock_unlock(&w->lock);
  if (counted) {
    atomic_fetch_sub(&gr_the_sched.outside_waits, 1);
    atomic_fetch_sub(&w->family->sources, 1);
  }
}

static void on_close(void *arg) {
  forget(arg, false);
  gr_io_on_loop(close_watch, arg);
}

// Perhaps outside the runtime, by the garbage collector. The channel's
// reference is the request's from now on.
static void on_free(void *arg) {
  watch *w = arg;
  forget(w, true);
  w->request.run = run_close;
  gr_loop_submit(gr_monitor_loop(), &w->request);
}

typedef struct start {
  watch *watch;
  const char *path;
} start;

static int start_watch(uv_loop_t *loop, void *arg) {
  start *s = arg;
  int err = uv_fs_event_init(loop, &s->watch->uv);
  if (err)
    return err;
  gr_refs_retain(&s->watch->refs); // libuv's, until on_closed
  err = uv_fs_event_start(&s->watch->uv, on_event, s->path, 0);
  if (err)
    close_watch(loop, s->watch);
  return err;
}

int gr_watch_path(gr_channel *channel, const char *path) {
  watch *w = calloc(1, sizeof *w);
  if (!w)
    return GR_NOMEM;
  gr_refs_init(&w->refs);
  gr_lock_init(&w->lock, GR_RANK_TASK);
  w->channel = channel;
  start s = {w, path};
  int err = gr_io_on_loop(start_watch, &s);
  if (err) {
    release(w);
    return err;
  }
  w->family = gr_family_self();
  atomic_fetch_add(&w->family->sources, 1);
  atomic_fetch_add(&gr_the_sched.outside_waits, 1);
  gr_lock_lock(&w->lock);
  w->counts = true;
  gr_lock_unlock(&w->lock);
  channel->on_close = on_close;
  channel->on_free = on_free;
  channel->on_free_arg = w;
  return 0;
}
