// SPDX-License-Identifier: MIT
// A C host that embeds Lua and runs scripts that use goroutines. Each case is a
// process of its own: embed_test CASE.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "test.h"

#define SETUP                                                                  \
  "package.path = '" LUA_DIR "/?.lua;' .. package.path "                       \
  "package.cpath = '" C_DIR "/?.so;' .. package.cpath "

// Goroutines that work, and some that are left where they are.
static const char script[] = SETUP
    "local go = require('goroutines') "
    "local ch, sum = go.chan(), 0 "
    "for i = 1, 10 do go(function() go.sleep(i * 1e-5) ch:send(i) end) end "
    "for _ = 1, 10 do sum = sum + ch:recv() end "
    "assert(go.spawn(function() return 7 end):join()) "
    "for _ = 1, 3 do go(function() ch:recv() end) end "
    "go(function() while true do end end) "
    "return sum";

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  CHECK(L);
  luaL_openlibs(L);
  return L;
}

// NULL when the script has run and given 55, else the error, left on the stack.
static const char *run(lua_State *L, const char *text) {
  lua_settop(L, 0);
  if (luaL_dostring(L, text) != LUA_OK)
    return lua_tostring(L, -1);
  CHECK(lua_tointeger(L, -1) == 55);
  return NULL;
}

static bool says(const char *error, const char *what) {
  if (error && strstr(error, what))
    return true;
  fprintf(stderr, "said: %s\n", error ? error : "(nothing)");
  return false;
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

// --- the cases ---

// The first state that uses goroutines has them; those that come after it was
// closed are told so, and are as good as any otherwise.
static void repeat(void) {
  lua_State *first = open_state();
  CHECK(run(first, script) == NULL);
  lua_close(first);
  unsigned long times = knob("SCALE", 1000);
  for (unsigned long i = 0; i < times; i++) {
    lua_State *L = open_state();
    CHECK(says(run(L, script), "they have ended with another Lua state"));
    CHECK(says(run(L, script), "they have ended with another Lua state"));
    CHECK(run(L, "return 55") == NULL);
    lua_close(L);
  }
}

static void side_by_side(void) {
  lua_State *first = open_state(), *second = open_state();
  CHECK(run(first, script) == NULL);
  CHECK(says(run(second, script), "another Lua state of this process uses"));
  CHECK(run(first, script) == NULL);
  lua_close(second);
  CHECK(run(first, script) == NULL);
  lua_close(first);
}

static pthread_barrier_t barrier;

static void *run_in_thread(void *winners) {
  lua_State *L = open_state();
  for (int i = 0; i < 2; i++) {
    pthread_barrier_wait(&barrier);
    const char *error = run(L, script);
    if (error)
      CHECK(says(error, "another Lua state of this process uses"));
    else
      __atomic_fetch_add((int *)winners, 1, __ATOMIC_SEQ_CST);
  }
  pthread_barrier_wait(&barrier);
  lua_close(L);
  return NULL;
}

// Two hosts' threads with a state each: one has goroutines, the other is told.
static void threads(void) {
  pthread_t both[2];
  int winners = 0;
  pthread_barrier_init(&barrier, NULL, 2);
  for (int i = 0; i < 2; i++)
    CHECK(pthread_create(&both[i], NULL, run_in_thread, &winners) == 0);
  for (int i = 0; i < 2; i++)
    CHECK(pthread_join(both[i], NULL) == 0);
  CHECK(winners == 2); // the same one twice
}

static void *run_and_close(void *unused) {
  (void)unused;
  lua_State *L = open_state();
  CHECK(run(L, script) == NULL);
  CHECK(run(L, script) == NULL);
  lua_close(L);
  return NULL;
}

// Main's thread is none of the process's first, and ends before it.
static void other_thread(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_and_close, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

static void left_open(void) {
  CHECK(run(open_state(), script) == NULL);
}

// A goroutine sits in C when the state is closed: that is not waited for.
static void stuck(void) {
  lua_State *L = open_state();
  CHECK(run(L, SETUP "local go = require('goroutines') "
                     "local ready = go.chan() "
                     "go(function() local f = require('fixture') "
                     "ready:send(true) f.nanosleep(3600) end) "
                     "ready:recv() go.sleep(0.01) return 55") == NULL);
  double start = now();
  lua_close(L);
  CHECK(now() - start < 5);
}

// The host forks; so may its script. Each child is told, and ends as it likes.
static void fork_host(void) {
  lua_State *L = open_state();
  CHECK(run(L, script) == NULL);
  for (int i = 0; i < 20; i++) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CHECK(says(run(L, script), "this process was forked"));
      CHECK(run(L, "return 55") == NULL);
      if (i % 3 == 0)
        _exit(7);
      if (i % 3 == 1)
        lua_close(L);
      exit(7);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  }
  CHECK(run(L, script) == NULL);
  lua_close(L);
}

static const struct {
  const char *name;
  void (*run)(void);
} cases[] = {
    {"repeat", repeat},       {"side_by_side", side_by_side},
    {"threads", threads},     {"other_thread", other_thread},
    {"left_open", left_open}, {"stuck", stuck},
    {"fork", fork_host},
};

int main(int argc, char **argv) {
  limit_time(120);
  for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
    if (!strcmp(cases[i].name, argv[1])) {
      cases[i].run();
      printf("embed %s: ok\n", argv[1]);
      return EXIT_SUCCESS;
    }
  fprintf(stderr, "usage: embed_test CASE\n");
  return EXIT_FAILURE;
}
