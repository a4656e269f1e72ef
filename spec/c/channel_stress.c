// SPDX-License-Identifier: MIT
// Goroutines without Lua send, receive, select, time out and close on a few
// channels at random: no message is lost or doubled, nobody hangs.
//
// Every message is a number of its own. Senders count what went in and
// receivers what came out, with the sum; both must agree once all channels are
// closed and drained. Channels are closed by whoever is unlucky, and replaced.
#include <lauxlib.h>
#include <pthread.h>

#include "base/random.h"
#include "sched/runtime.h"
#include "sched/sched.h"
#include "sync/channel.h"
#include "sync/select.h"
#include "test.h"

enum { CHANNELS = 6, CASES_MAX = 5, GOROUTINES_MAX = 1000 };

static gr_channel *channels[CHANNELS]; // each holds a reference
static gr_lock channels_lock;
static atomic_ulong left, sent, received, closes, timeouts;
static atomic_ullong sum_sent, sum_received;
static atomic_ullong next_number;
static atomic_uint alive;

static gr_channel *borrow(unsigned i) {
  gr_lock_lock(&channels_lock);
  gr_channel *c = channels[i];
  gr_channel_retain(c);
  gr_lock_unlock(&channels_lock);
  return c;
}

static gr_message number(void) {
  return (gr_message){.kind = GR_MESSAGE_INTEGER,
                      .integer = (int64_t)atomic_fetch_add(&next_number, 1)};
}

static void count_sent(const gr_message *m) {
  atomic_fetch_add(&sent, 1);
  atomic_fetch_add(&sum_sent, (unsigned long long)m->integer);
}

static void count_received(const gr_message *m) {
  CHECK(m->kind == GR_MESSAGE_INTEGER);
  atomic_fetch_add(&received, 1);
  atomic_fetch_add(&sum_received, (unsigned long long)m->integer);
}

static uint64_t some_deadline(gr_random *r) {
  switch (gr_random_below(r, 4)) {
  case 0:
    return GR_POLL;
  case 1:
    return gr_now_ns() + gr_random_below(r, 20000);
  default:
    return gr_now_ns() + gr_random_below(r, 1000000);
  }
}

static void replace(gr_random *r) {
  unsigned i = gr_random_below(r, CHANNELS);
  gr_channel *fresh = gr_channel_new(gr_random_below(r, 4));
  gr_lock_lock(&channels_lock);
  gr_channel *old = channels[i];
  channels[i] = fresh;
  gr_lock_unlock(&channels_lock);
  CHECK(gr_channel_close(old));
  gr_message m; // whoever is late gets "closed"; what is buffered is ours
  while (gr_channel_recv(old, &m, GR_POLL) == GR_OK)
    count_received(&m);
  gr_channel_release(old);
  atomic_fetch_add(&closes, 1);
}

static void note(gr_status status) {
  if (status == GR_TIMEOUT)
    atomic_fetch_add(&timeouts, 1);
}

static void send_one(gr_random *r) {
  gr_channel *c = borrow(gr_random_below(r, CHANNELS));
  gr_message m = number();
  gr_status status = gr_channel_send(c, &m, some_deadline(r));
  if (status == GR_OK)
    count_sent(&m);
  note(status);
  gr_channel_release(c);
}

static void receive_one(gr_random *r) {
  gr_channel *c = borrow(gr_random_below(r, CHANNELS));
  gr_message m;
  gr_status status = gr_channel_recv(c, &m, some_deadline(r));
  if (status == GR_OK)
    count_received(&m);
  note(status);
  gr_channel_release(c);
}

static void select_one(gr_random *r) {
  gr_case cases[CASES_MAX];
  uint32_t order[2 * CASES_MAX], chosen = 0;
  uint32_t count = 1 + gr_random_below(r, CASES_MAX);
  for (uint32_t i = 0; i < count; i++) {
    bool none = gr_random_below(r, 10) == 0;
    cases[i].channel = none ? NULL : borrow(gr_random_below(r, CHANNELS));
    cases[i].is_send = gr_random_below(r, 2) == 0;
    cases[i].message = number();
  }
  gr_status status = gr_select(cases, count, order, some_deadline(r), &chosen);
  if (status == GR_OK && cases[chosen].is_send)
    count_sent(&cases[chosen].message);
  else if (status == GR_OK)
    count_received(&cases[chosen].message);
  note(status);
  for (uint32_t i = 0; i < count; i++)
    if (cases[i].channel)
      gr_channel_release(cases[i].channel);
}

static bool take_turn(void) {
  unsigned long n = atomic_load(&left);
  while (n > 0)
    if (atomic_compare_exchange_weak(&left, &n, n - 1))
      return true;
  return false;
}

static void commit_end(gr_goroutine *g, void *arg) {
  (void)arg;
  atomic_fetch_sub(&alive, 1);
  gr_goroutine_free(g);
}

static void live(gr_goroutine *g) {
  gr_random r;
  gr_random_init(&r, (uint64_t)(uintptr_t)g->owner);
  while (take_turn()) {
    unsigned what = gr_random_below(&r, 1000);
    if (what < 400)
      send_one(&r);
    else if (what < 800)
      receive_one(&r);
    else if (what < 995)
      select_one(&r);
    else if (what < 997)
      replace(&r);
    else
      gr_yield();
    gr_leave();
    gr_enter();
  }
  gr_finish(commit_end, NULL);
}

static void drain_all(void) {
  for (int i = 0; i < CHANNELS; i++) {
    gr_message m;
    while (gr_channel_recv(channels[i], &m, GR_POLL) == GR_OK)
      count_received(&m);
    gr_channel_release(channels[i]);
  }
}

int main(void) {
  unsigned long procs = knob("PROCS", 4), goroutines = knob("THREADS", 60);
  unsigned long seed = knob("SEED", gr_now_ns() % 1000000);
  atomic_store(&left, knob("SCALE", 1000000));
  fflush(stdout);
  limit_time(300);
  lua_State *L = luaL_newstate();
  CHECK(!gr_runtime_start() && gr_runtime_join(L));
  gr_lock_init(&channels_lock, GR_RANK_LEAF);
  for (unsigned i = 0; i < CHANNELS; i++)
    channels[i] = gr_channel_new(i);
  gr_enter();
  CHECK(gr_set_procs((uint32_t)procs));
  atomic_store(&alive, (unsigned)goroutines);
  for (unsigned long i = 0; i < goroutines; i++)
    gr_start(gr_goroutine_new(live, (void *)(uintptr_t)(seed * 1000 + i),
                              gr_family_self()));
  CHECK(gr_wait_for_others());
  CHECK(atomic_load(&alive) == 0);
  drain_all();
  gr_leave();
  CHECK(atomic_load(&sent) == atomic_load(&received));
  CHECK(atomic_load(&sum_sent) == atomic_load(&sum_received));
  CHECK(gr_channel_count_all() == 0);
  printf("channel: %lu messages, %lu closes, %lu timeouts: ok\n",
         atomic_load(&sent), atomic_load(&closes), atomic_load(&timeouts));
  fflush(stdout);
  gr_runtime_stop();
  lua_close(L);
}
