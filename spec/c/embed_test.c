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

// The thread sanitizer puts signals off until a thread calls something that it
// knows.
#ifdef __SANITIZE_THREAD__
#define ENDLESS "while true do go.yield() end "
#else
#define ENDLESS "while true do end "
#endif

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
    "go(function() " ENDLESS "end) "
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

static bool says_nothing(const char *error) {
  if (error)
    fprintf(stderr, "said: %s\n", error);
  return !error;
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

// --- the cases ---

// What the process has of each, but for what is on its way to go: then 55.
static const char settled[] =
    SETUP "local go = require('goroutines') "
          "local function look() "
          "  local s, all = go.stats(), {} "
          "  for _, k in ipairs({ 'families', 'goroutines', 'channels', "
          "'timers', 'messages', "
          "    'sync_objects', 'descriptors', 'handles' }) do "
          "    all[#all + 1] = k .. ' ' .. s[k] "
          "  end "
          "  return table.concat(all, ', ') "
          "end "
          "for _ = 1, 1000 do "
          "  if look() == 'families 1, goroutines 1, channels 1, timers 0, "
          "messages 0, ' .. "
          "    'sync_objects 0, descriptors 3, handles 3' then return 55 end "
          "  go.sleep(0.001) "
          "end "
          "error(look())";

// Leaves goroutines of every kind where they are.
static const char leaves[] = SETUP
    "local go = require('goroutines') "
    "local ch, full = go.chan(), go.chan(1) "
    "full:send({ ch }) "
    "local m, wg = go.mutex(), go.waitgroup() "
    "wg:add(1) "
    "m:lock() "
    "local function forever() " ENDLESS "end "
    "local function closing(f) return setmetatable({}, { __close = f }) end "
    "local bad = closing(function() print('a handler has run') end) "
    "go(forever) "
    "go(function() local x <close> = bad pcall(forever) forever() end) "
    "go(function() local x <close> = bad pcall(ch.recv, ch) ch:recv() end) "
    "go(function() full:send({ ch, full }) end) "
    "go(function() m:lock() end) "
    "go(function() wg:wait() end) "
    "go(function() go.sleep(3600) end) "
    "go(function() go.shield(function() go.sleep(3600) end) end) "
    "go(function() go.with_timeout(3600, function() ch:recv() end) end) "
    "go(function() go.select(ch, go.after(3600)) end) "
    "go(function() go.spawn(function() ch:recv() end):join() end) "
    "go(function() for _ in coroutine.wrap(function() ch:recv() end) do end "
    "end) "
    "go(function() local l = go.mutex() local c = go.cond(l) "
    "  l:lock() c:wait() end) "
    "go(function() local g = go.group() "
    "  g:spawn(function() ch:recv() end) g:wait() end) "
    "go(function() local o = go.once() "
    "  o:run(function() ch:recv() end) end) "
    "go(function() local l = assert(go.net.listen('127.0.0.1', 0)) "
    "  l:accept() end) "
    "go.timer(3600, print) "
    "go(function() while true do go(function() end) go.yield() end end) "
    "go(function() local map = go.map() map:set('a', { ch }) "
    "  for _ in pairs(map) do ch:recv() end end) "
    "go(function() setmetatable({}, { __gc = function() ch:recv() end }) "
    "  return ch end) "
    "go(function() local x <close> = closing(function() ch:recv() end) "
    "  go.exit(ch) end) "
    "go(function() local x = setmetatable({}, { __gc = function() "
    "  while true do pcall(ch.recv, ch) end end }) x = nil "
    "  while true do collectgarbage() end end) "
    "local tick = go.ticker(0.0001) "
    "tick:recv() "
    "go.sleep(0.002) "
    "return 55";

// Nothing of the states closed before has stayed.
static void settle(void) {
  lua_State *L = open_state();
  CHECK(says_nothing(run(L, settled)));
  lua_close(L);
}

// One main state after the other has goroutines, which are left when it is
// closed.
static void repeat(void) {
  unsigned long times = knob("SCALE", 1000);
  for (unsigned long i = 0; i < times; i++) {
    lua_State *L = open_state();
    CHECK(says_nothing(run(L, i % 50 ? script : leaves)));
    lua_close(L);
    if (i % 25 == 0)
      settle();
  }
}

// A thread has one main state at a time.
static void side_by_side(void) {
  lua_State *first = open_state(), *second = open_state();
  CHECK(run(first, script) == NULL);
  CHECK(says(run(second, script), "another Lua state of this thread uses"));
  CHECK(run(first, script) == NULL);
  CHECK(run(second, "return 55") == NULL);
  lua_close(first);
  CHECK(run(second, script) == NULL);
  lua_close(second);
}

// Values that are closed after the runtime's own part: they find it gone.
static void warn(void *arg, const char *message, int to_continue) {
  (void)arg, (void)to_continue;
  fputs(message, stderr);
}

static bool is_told;

static int tell(lua_State *L) {
  (void)L;
  is_told = true;
  return 0;
}

static void too_late(void) {
  static const char text[] =
      "local go "
      "keep = setmetatable({}, { __gc = function() "
      "  local all = {} "
      "  for _, f in ipairs({ function() go.sleep(0) end, "
      "    function() go.chan(1) end, function() go.spawn(print) end, "
      "    function() go.yield() end, function() go.after(1) end, "
      "    function() go.count() end, function() go.timer(1, print) end, "
      "    function() go.stats() end, function() go.procs(1) end, "
      "    function() go.stdin:read() end, function() go.exit() end }) do "
      "    local ok, err = pcall(f) "
      "    assert(not ok and (err:find('the Lua state is closing') or "
      "      err:find('the goroutine has ended')), err) "
      "  end "
      "  assert(coroutine.wrap(function() return 7 end)() == 7) "
      "  for i = 1, 1e5 do all[i % 100] = { i } end "
      "  assert(io.popen('true')):close() "
      "  os.execute('true') "
      "  debug.sethook(function() end, 'l') "
      "  require('goroutines') "
      "  package.loaded['goroutines.core'] = nil "
      "  assert(not pcall(require, 'goroutines.core')) "
      "  tell() "
      "end }) ";
  char all[sizeof text + sizeof SETUP + 100];
  snprintf(all, sizeof all, "%s%sgo = require('goroutines') return 55", text,
           SETUP);
  lua_State *L = open_state();
  lua_setwarnf(L, warn, NULL);
  lua_register(L, "tell", tell);
  CHECK(says_nothing(run(L, all)));
  lua_close(L);
  CHECK(is_told);
  L = open_state();
  CHECK(says_nothing(run(L, script)));
  lua_close(L);
}

// --- several threads, each with a main state ---

static pthread_barrier_t barrier;

static void *run_often(void *arg) {
  unsigned long times = knob("SCALE", 1000) / 5, seed = (uintptr_t)arg;
  for (unsigned long i = 0; i < times; i++) {
    lua_State *L = open_state();
    CHECK(says_nothing(run(L, (i + seed) % 10 ? script : leaves)));
    CHECK(says_nothing(run(L, script)));
    lua_close(L);
  }
  return NULL;
}

static void run_threads(unsigned count, void *(*f)(void *)) {
  pthread_t all[8];
  pthread_barrier_init(&barrier, NULL, count);
  for (uintptr_t i = 0; i < count; i++)
    CHECK(pthread_create(&all[i], NULL, f, (void *)i) == 0);
  for (unsigned i = 0; i < count; i++)
    CHECK(pthread_join(all[i], NULL) == 0);
  pthread_barrier_destroy(&barrier);
}

static void threads(void) {
  run_threads(2, run_often);
  run_threads(8, run_often);
}

// Each family has its own count, errors, deadlock and end.
static void *run_family(void *arg) {
  bool is_first = !arg;
  lua_State *L = open_state();
  CHECK(says_nothing(
      run(L, SETUP "go = require('goroutines') stop = go.chan() "
                   "errors = go.chan(10) go.configure{ on_error = errors } "
                   "for _ = 1, 4 do go(function() stop:recv() end) end "
                   "go(function() " ENDLESS "end) "
                   "return 50 + go.count() - 1")));
  pthread_barrier_wait(&barrier);
  CHECK(says_nothing(run(L, is_first ? "go(error, 'A') return 55"
                                     : "go(error, 'B') return 55")));
  CHECK(says_nothing(run(L, is_first ? "e = errors:recv().err return "
                                       "e == 'A' and 55 or error(e)"
                                     : "e = errors:recv().err return "
                                       "e == 'B' and 55 or error(e)")));
  pthread_barrier_wait(&barrier);
  if (is_first) { // the endless loop is none of its own then
    lua_close(L);
    L = open_state();
    double start = now();
    CHECK(says(run(L, SETUP "local go = require('goroutines') "
                            "for _ = 1, 3 do go(function() "
                            "go.chan():recv() end) end go.chan():recv()"),
               "all goroutines are asleep - deadlock!"));
    CHECK(now() - start < 2); // 0.1 on a quiet machine
    CHECK(says_nothing(run(L, script)));
    lua_close(L);
    pthread_barrier_wait(&barrier);
    return NULL;
  }
  pthread_barrier_wait(&barrier);
  CHECK(says_nothing(run(L, "stop:close() go.sleep(0.1) "
                            "return 53 + go.count()"))); // main and the loop
  lua_close(L);
  return NULL;
}

static void families(void) {
  run_threads(2, run_family);
}

// A family that waits for what comes from outside, or for time, is not taken
// for one in a deadlock, whatever the others do.
static void *run_patient(void *arg) {
  static const char *const all[] = {
      "go.sleep(0.3) return 55",
      "go.after(0.3):recv() return 55",
      "local t = go.ticker(0.1) t:recv() t:recv() t:recv() return 55",
      "local l = assert(go.net.listen('127.0.0.1', 0)) "
      "assert(not l:accept(0.3)) return 55",
      "assert(go.process.run({ 'sleep', '0.3' })) return 55",
      "local done = go.chan() go.timer(0.3, function() done:send(1) end) "
      "done:recv() return 55",
      "local done = go.chan() go(function() os.execute('sleep 0.3') "
      "done:send(1) end) done:recv() return 55",
  };
  lua_State *L = open_state();
  size_t n = (uintptr_t)arg;
  char text[1000];
  snprintf(text, sizeof text, "%slocal go = require('goroutines') %s", SETUP,
           n < 7 ? all[n]
                 : "local e = os.clock() + 1 repeat until os.clock() > e "
                   "return 55");
  for (int i = 0; i < 3; i++)
    CHECK(says_nothing(run(L, text)));
  lua_close(L);
  return NULL;
}

static void patient(void) {
  run_threads(8, run_patient);
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

static lua_State *abandoned;

static void *run_and_leave(void *unused) {
  (void)unused;
  abandoned = open_state();
  CHECK(says_nothing(run(abandoned, leaves)));
  return NULL;
}

// Its thread ends before the state is closed, which another one does then.
static void left_by_thread(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_and_leave, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  lua_close(abandoned);
}

// All is quiet, for long; the next main is looked after all the same.
static void pause_between(void) {
  for (int i = 0; i < 2; i++) {
    lua_State *L = open_state();
    CHECK(says_nothing(run(L, SETUP
                           "local go = require('goroutines') go.procs(1) "
                           "local ch = go.chan() go(function() " ENDLESS "end) "
                           "go(function() ch:send(55) end) return ch:recv()")));
    CHECK(says_nothing(run(L, "require('goroutines').configure{ preempt = "
                              "'off' } return 55")));
    double start = now();
    lua_close(L);
    CHECK(now() - start < 2);
    L = open_state();
    CHECK(says_nothing(run(L, SETUP "local go = require('goroutines') "
                                    "go.configure{ preempt = 'signal' } "
                                    "return 55")));
    lua_close(L);
    struct timespec pause = {.tv_nsec = 500000000};
    nanosleep(&pause, NULL);
  }
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
  bool settles;
} cases[] = {
    {"repeat", repeat, true},
    {"side_by_side", side_by_side, true},
    {"too_late", too_late, true},
    {"threads", threads, true},
    {"families", families, true},
    {"patient", patient, true},
    {"other_thread", other_thread, true},
    {"left_by_thread", left_by_thread, true},
    {"pause_between", pause_between, true},
    {"left_open", left_open, false},
    {"stuck", stuck, false},
    {"fork", fork_host, false},
};

int main(int argc, char **argv) {
  limit_time(120);
  for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
    if (!strcmp(cases[i].name, argv[1])) {
      cases[i].run();
      if (cases[i].settles)
        settle();
      printf("embed %s: ok\n", argv[1]);
      return EXIT_SUCCESS;
    }
  fprintf(stderr, "usage: embed_test CASE\n");
  return EXIT_FAILURE;
}
