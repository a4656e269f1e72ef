// SPDX-License-Identifier: MIT
// The objects of csrc/sync when memory runs out: every single allocation is
// refused in turn, once or from then on. An operation that is refused memory
// says so and changes nothing; and in the end all is freed.
//
// Linked with --wrap for malloc, calloc and free.
#include <lauxlib.h>
#include <string.h>

#include "sched/runtime.h"
#include "sched/sched.h"
#include "sync/atomic.h"
#include "sync/barrier.h"
#include "sync/cond.h"
#include "sync/map.h"
#include "sync/map_table.h"
#include "sync/once.h"
#include "sync/rwmutex.h"
#include "sync/semaphore.h"
#include "sync/waitgroup.h"
#include "test.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void __wrap_free(void *block);

static struct {
  bool once;
  unsigned long nth, count; // the first is 1
  long live;                // blocks
} memory;

// Of the test's own thread; the monitor allocates for itself.
static _Thread_local bool is_watched;

static bool refuses(void) {
  if (!is_watched)
    return false;
  unsigned long i = ++memory.count;
  return memory.once ? i == memory.nth : i >= memory.nth;
}

static void *counted(void *block) {
  if (is_watched && block)
    memory.live++;
  return block;
}

void *__wrap_malloc(size_t bytes) {
  return refuses() ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes) {
  return refuses() ? NULL : counted(__real_calloc(count, bytes));
}

void __wrap_free(void *block) {
  if (is_watched && block)
    memory.live--;
  __real_free(block);
}

static void release(void *object) {
  if (object)
    gr_object_release(object);
}

static void use_simple_ones(void) {
  gr_mutex *m = gr_mutex_new();
  release(m ? gr_cond_new(m) : NULL);
  release(m);
  release(gr_rwmutex_new());
  release(gr_waitgroup_new(1));
  release(gr_once_new());
  release(gr_semaphore_new(1));
  release(gr_barrier_new(2));
  release(gr_object_new(sizeof(gr_atomic), NULL));
}

enum { KEYS = 600 };

// Some keys are strings. The text is the caller's.
static gr_map_key key_of(const gr_map *m, unsigned i, char text[20]) {
  gr_map_key key = {.scalar = {.kind = GR_MESSAGE_INTEGER, .integer = i}};
  if (i % 3 == 0) {
    key.scalar.kind = GR_MESSAGE_NIL;
    key.bytes = text;
    key.len = (size_t)snprintf(text, 20, "key %u", i);
  }
  gr_map_key_init(m, &key);
  return key;
}

// 1 if it was set.
static unsigned set(gr_map *m, unsigned i) {
  char text[20];
  gr_map_key key = key_of(m, i, text);
  gr_message value = {.kind = GR_MESSAGE_INTEGER, .integer = i};
  gr_status status = gr_map_set(m, &key, &value);
  CHECK(status == GR_OK || status == GR_NOMEM);
  gr_message now;
  CHECK(gr_map_get(m, &key, &now) == GR_OK);
  CHECK(now.kind == (status == GR_OK ? GR_MESSAGE_INTEGER : GR_MESSAGE_NIL));
  return status == GR_OK;
}

static unsigned update(gr_map *m, unsigned i) {
  char text[20];
  gr_map_key key = key_of(m, i, text);
  gr_map_entry *entry;
  gr_message value;
  gr_status status = gr_map_begin(m, &key, &entry, &value);
  CHECK(status == GR_OK || status == GR_NOMEM);
  if (status != GR_OK)
    return 0;
  CHECK(value.kind == GR_MESSAGE_NIL);
  value = (gr_message){.kind = GR_MESSAGE_INTEGER, .integer = i};
  gr_map_commit(entry, &value);
  return 1;
}

static void look_at_all(gr_map *m, unsigned expected) {
  unsigned seen = 0;
  bool complete = true;
  for (unsigned i = 0; i < GR_MAP_SHARDS; i++) {
    gr_map_item *items;
    uint32_t count;
    if (!gr_map_items(m, i, true, &items, &count)) {
      complete = false;
      continue;
    }
    gr_map_items_free(items, 0, count);
    seen += count;
  }
  CHECK(complete ? seen == expected : seen < expected);
}

static void use_map(void) {
  gr_map *m = gr_map_new();
  if (!m)
    return;
  unsigned count = 0;
  for (unsigned i = 0; i < KEYS; i++)
    count += i % 2 ? set(m, i) : update(m, i);
  CHECK(gr_map_count(m) == count);
  look_at_all(m, count);
  for (unsigned i = 0; i < KEYS; i += 2) {
    char text[20];
    gr_map_key key = key_of(m, i, text);
    gr_message none = {.kind = GR_MESSAGE_NIL};
    CHECK(gr_map_set(m, &key, &none) == GR_OK); // needs none
  }
  gr_object_release(m);
}

// True when nothing was refused.
static bool refuse(unsigned long nth, bool once) {
  memory.nth = nth;
  memory.once = once;
  memory.count = 0;
  memory.live = 0;
  is_watched = true;
  use_simple_ones();
  use_map();
  is_watched = false;
  CHECK(memory.live == 0);
  CHECK(gr_object_count() == 0);
  return memory.count < nth;
}

int main(void) {
  limit_time(300);
  lua_State *L = luaL_newstate();
  CHECK(!gr_runtime_start() && gr_runtime_join(L));
  gr_enter();
  CHECK(gr_set_procs(1));
  unsigned long n = 1;
  while (!refuse(n, true) || !refuse(n, false))
    n++;
  gr_leave();
  printf("sync: %lu allocations refused in turn: ok\n", n - 1);
  fflush(stdout);
  gr_runtime_stop();
  lua_close(L);
}
