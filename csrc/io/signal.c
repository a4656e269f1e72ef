// SPDX-License-Identifier: MIT
// A listener belongs to its channel. While there is one for a signal, libuv's
// handler is in place; when the last goes, what was there before it comes back.
#include "io/signal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "sched/interrupt.h"
#include "sched/monitor.h"

// --- names ---

static const struct {
  const char *name;
  int number;
} names[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},
    {"ILL", SIGILL},       {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
    {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE},     {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD},     {"CONT", SIGCONT}, {"STOP", SIGSTOP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},         {"SYS", SIGSYS},
#ifdef SIGPWR
    {"PWR", SIGPWR},
#endif
};

enum { NAMES = sizeof names / sizeof *names };

int gr_signal_number(const char *name) {
  for (int i = 0; i < NAMES; i++)
    if (!strcmp(names[i].name, name))
      return names[i].number;
  return 0;
}

const char *gr_signal_name(int number) {
  for (int i = 0; i < NAMES; i++)
    if (names[i].number == number)
      return names[i].name;
  return NULL;
}

bool gr_signal_can_listen(int number) {
  static const int not_to_be_had[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
                                      SIGILL,  SIGTRAP, SIGABRT, SIGSYS};
  for (size_t i = 0; i < sizeof not_to_be_had / sizeof *not_to_be_had; i++)
    if (number == not_to_be_had[i])
      return false;
  return number > 0 && number < GR_SIGNALS &&
         number != atomic_load(&gr_the_sched.preempt_signal);
}

// --- listeners ---

typedef struct listener {
  gr_link link; // guarded by the lock; in no list once it is closed
  gr_channel *channel;
  gr_family *family;
  gr_block *blocks[GR_SIGNALS]; // by number; NULL: not told
} listener;

// Taken before a channel's lock.
static gr_lock lock = GR_LOCK_STATIC(GR_RANK_TASK);
// Guarded by lock.
static gr_list listeners = {{&listeners.head, &listeners.head}};
static unsigned wanted[GR_SIGNALS]; // how many listen
static void (*calls[GR_SIGNALS])(void);
static bool update_queued;

// Under the token of the monitor's loop.
static struct slot {
  uv_signal_t uv;
  bool has_handle, listens;
  struct sigaction before;
} slots[GR_SIGNALS];
static gr_loop_request update_request;

// A channel that goes waits for the lock before it is freed (on_free).
static void on_signal(uv_signal_t *uv, int number) {
  (void)uv;
  gr_goroutine *all = NULL;
  gr_lock_lock(&lock);
  void (*call)(void) = calls[number];
  for (gr_link *at = listeners.head.next; at != &listeners.head;
       at = at->next) {
    listener *l = GR_CONTAINER(at, listener, link);
    gr_goroutine *woken = NULL;
    if (!l->blocks[number])
      continue;
    gr_message m = {.kind = GR_MESSAGE_BLOCK,
                    .block = gr_block_retain(l->blocks[number])};
    if (!gr_channel_offer(l->channel, &m, &woken))
      gr_message_drop(&m);
    if (woken) {
      woken->next = all;
      all = woken;
    }
  }
  gr_lock_unlock(&lock);
  gr_ready_events(all, false);
  if (call)
    call();
}

// --- handlers, under the token of the monitor's loop ---

// SIGCHLD's is libuv's own anyhow.
static bool is_restored(int number) {
  return number != SIGCHLD;
}

static int start(uv_loop_t *loop, int number) {
  struct slot *slot = &slots[number];
  int err = 0;
  if (!slot->has_handle) {
    err = uv_signal_init(loop, &slot->uv);
    if (err)
      return err;
    slot->has_handle = true;
  }
  sigaction(number, NULL, &slot->before);
  if (number == SIGINT)
    atomic_store(&gr_interrupts_taken, true);
  err = uv_signal_start(&slot->uv, on_signal, number);
  slot->listens = err == 0;
  if (err && number == SIGINT)
    atomic_store(&gr_interrupts_taken, false);
  return err;
}

static void stop(int number) {
  struct slot *slot = &slots[number];
  uv_signal_stop(&slot->uv);
  slot->listens = false;
  if (is_restored(number))
    sigaction(number, &slot->before, NULL);
  if (number == SIGINT)
    atomic_store(&gr_interrupts_taken, false);
}

static int update(uv_loop_t *loop, void *unused) {
  (void)unused;
  int err = 0;
  unsigned now[GR_SIGNALS];
  gr_lock_lock(&lock);
  memcpy(now, wanted, sizeof now);
  update_queued = false;
  gr_lock_unlock(&lock);
  for (int i = 1; i < GR_SIGNALS; i++) {
    if (now[i] && !slots[i].listens && !err)
      err = start(loop, i);
    else if (!now[i] && slots[i].listens)
      stop(i);
  }
  return err;
}

static void run_update(gr_loop *loop, gr_loop_request *request) {
  (void)request;
  update(&loop->uv, NULL);
}

// --- coming and going ---

static void enlist(listener *l) {
  gr_lock_lock(&lock);
  l->family = gr_family_self();
  gr_list_push(&listeners, &l->link);
  for (int i = 0; i < GR_SIGNALS; i++)
    wanted[i] += l->blocks[i] != NULL;
  gr_lock_unlock(&lock);
  atomic_fetch_add(&l->family->sources, 1);
  atomic_fetch_add(&gr_the_sched.outside_waits, 1);
}

// True if it was in the list; *queues then tells that an update is to be asked
// for, and that nobody else does.
static bool delist(listener *l, bool *queues) {
  gr_lock_lock(&lock);
  bool was_in = gr_link_is_linked(&l->link);
  gr_list_remove(&l->link);
  for (int i = 0; was_in && i < GR_SIGNALS; i++)
    wanted[i] -= l->blocks[i] != NULL;
  *queues = was_in && !update_queued;
  update_queued |= was_in;
  gr_lock_unlock(&lock);
  if (was_in) {
    atomic_fetch_sub(&gr_the_sched.outside_waits, 1);
    atomic_fetch_sub(&l->family->sources, 1);
  }
  return was_in;
}

// By a goroutine: returns when the handlers are as they were.
static void on_close(void *arg) {
  bool queues;
  if (delist(arg, &queues))
    gr_io_on_loop(update, NULL);
}

// Perhaps outside the runtime, by the garbage collector.
static void on_free(void *arg) {
  listener *l = arg;
  bool queues;
  delist(l, &queues);
  for (int i = 0; i < GR_SIGNALS; i++)
    gr_block_release(l->blocks[i]);
  free(l);
  if (!queues)
    return;
  update_request.run = run_update;
  gr_loop_submit(gr_monitor_loop(), &update_request);
}

int gr_signal_listen(gr_channel *channel, gr_block *blocks[GR_SIGNALS]) {
  listener *l = calloc(1, sizeof *l);
  if (!l) {
    for (int i = 0; i < GR_SIGNALS; i++)
      gr_block_release(blocks[i]);
    return GR_NOMEM;
  }
  memcpy(l->blocks, blocks, sizeof l->blocks);
  gr_link_init(&l->link);
  l->channel = channel;
  channel->on_close = on_close;
  channel->on_free = on_free;
  channel->on_free_arg = l;
  enlist(l);
  return gr_io_on_loop(update, NULL);
}

int gr_signal_call(int number, void (*call)(void)) {
  gr_lock_lock(&lock);
  calls[number] = call;
  wanted[number]++;
  gr_lock_unlock(&lock);
  return gr_io_on_loop(update, NULL);
}
