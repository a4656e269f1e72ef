// SPDX-License-Identifier: MIT
// A C module as others write them, for the specs: it blocks its thread without
// telling anybody, computes in C, resumes coroutines, calls back while it holds
// a lock that belongs to its thread, and has types of its own.
#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static struct timespec spec_of(double seconds) {
  struct timespec ts = {.tv_sec = (time_t)seconds};
  ts.tv_nsec = (long)((seconds - (double)ts.tv_sec) * 1e9);
  return ts;
}

// Each returns whether it slept its time in full: a signal would cut it short.

static int fixture_nanosleep(lua_State *L) {
  struct timespec ts = spec_of(luaL_checknumber(L, 1));
  lua_pushboolean(L, nanosleep(&ts, NULL) == 0);
  return 1;
}

static int fixture_select(lua_State *L) {
  struct timespec ts = spec_of(luaL_checknumber(L, 1));
  struct timeval tv = {.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
  lua_pushboolean(L, select(0, NULL, NULL, NULL, &tv) == 0);
  return 1;
}

static int fixture_usleep(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  lua_pushboolean(L, usleep((useconds_t)(seconds * 1e6)) == 0);
  return 1;
}

// Computes in C for so many seconds.
static int fixture_spin(lua_State *L) {
  double end = now() + luaL_checknumber(L, 1);
  while (now() < end)
    ;
  return 0;
}

// The coroutine's results, through lua_resume itself.
static int fixture_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  int results;
  int status = lua_resume(co, L, 0, &results);
  lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
  return 1;
}

// A lock that belongs to the thread which holds it, and how often it is held.
typedef struct owned_lock {
  pthread_mutex_t mutex;
  lua_State *owner; // the state of the goroutine inside; guarded by mutex
  int held;
} owned_lock;

static owned_lock recursive_lock, checking_lock;

static void make_lock(owned_lock *lock, int type) {
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_settype(&attr, type);
  pthread_mutex_init(&lock->mutex, &attr);
  pthread_mutexattr_destroy(&attr);
}

static void make_locks(void) {
  make_lock(&recursive_lock, PTHREAD_MUTEX_RECURSIVE);
  make_lock(&checking_lock, PTHREAD_MUTEX_ERRORCHECK);
}

static lua_State *state_of(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *state = lua_tothread(L, -1);
  lua_pop(L, 1);
  return state;
}

// Calls f under the lock. Whether it could be locked and unlocked, and no
// other goroutine was inside: a recursive lock lets in whoever comes on the
// same thread.
static int call_locked(lua_State *L, owned_lock *lock) {
  lua_State *state = state_of(L);
  lua_settop(L, 1);
  bool ok = pthread_mutex_lock(&lock->mutex) == 0;
  ok = ok && (lock->held == 0 || lock->owner == state);
  lock->owner = state;
  lock->held++;
  int failed = lua_pcall(L, 0, 0, 0);
  ok = ok && lock->owner == state;
  lock->held--;
  ok = pthread_mutex_unlock(&lock->mutex) == 0 && ok;
  if (failed)
    return lua_error(L);
  lua_pushboolean(L, ok);
  return 1;
}

static int fixture_locked(lua_State *L) {
  return call_locked(L, &recursive_lock);
}

static int fixture_locked_once(lua_State *L) {
  return call_locked(L, &checking_lock);
}

static int hidden_locked(lua_State *L) {
  return call_locked(L, &recursive_lock);
}

// The same as `locked`, but not to be found in the module.
static int fixture_hidden(lua_State *L) {
  lua_pushcfunction(L, hidden_locked);
  return 1;
}

static int descend(volatile char *above, int left) {
  volatile char frame[4096];
  frame[0] = *above;
  return left > 0 ? descend(frame, left - 1) + frame[0] : frame[0];
}

// Uses so many KB of stack.
static int fixture_deep(lua_State *L) {
  volatile char top = 0;
  lua_pushinteger(L, descend(&top, (int)luaL_checkinteger(L, 1) / 4));
  return 1;
}

// Forks. The child calls f and goes on in Lua, if f returns; here the result is
// the child's exit status, or 128 and its signal.
static int fixture_fork(lua_State *L) {
  lua_settop(L, 1);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    lua_call(L, 0, 0);
    lua_pushnil(L);
    return 1;
  }
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status)
                                       : 128 + WTERMSIG(status));
  return 1;
}

// The kernel's number of the thread that runs this.
static int fixture_thread(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)gettid());
  return 1;
}

// What the kernel says of a thread of this process: how long it ran, and how
// long it had to wait for a CPU, in seconds.
static bool read_times(const char *thread, double *ran, double *waited) {
  char path[300];
  unsigned long long ran_ns, waited_ns;
  snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", thread);
  FILE *f = fopen(path, "r");
  if (!f)
    return false;
  bool got = fscanf(f, "%llu %llu", &ran_ns, &waited_ns) == 2;
  fclose(f);
  *ran = got ? (double)ran_ns * 1e-9 : 0;
  *waited = got ? (double)waited_ns * 1e-9 : 0;
  return got;
}

// A table from the numbers of all threads to { ran, waited }.
static int fixture_times(lua_State *L) {
  DIR *threads = opendir("/proc/self/task");
  struct dirent *entry;
  double ran, waited;
  lua_newtable(L);
  while (threads && (entry = readdir(threads)))
    if (entry->d_name[0] != '.' && read_times(entry->d_name, &ran, &waited)) {
      lua_createtable(L, 2, 0);
      lua_pushnumber(L, ran);
      lua_rawseti(L, -2, 1);
      lua_pushnumber(L, waited);
      lua_rawseti(L, -2, 2);
      lua_rawseti(L, -2, atoi(entry->d_name));
    }
  if (threads)
    closedir(threads);
  return 1;
}

// A userdata that holds an integer. It can be sent; a sealed one cannot.

static int fixture_box(lua_State *L) {
  lua_Integer value = luaL_checkinteger(L, 1);
  lua_Integer *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = value;
  luaL_setmetatable(L, "fixture.box");
  return 1;
}

static int fixture_sealed(lua_State *L) {
  lua_newuserdatauv(L, 1, 0);
  luaL_newmetatable(L, "fixture.sealed");
  lua_setmetatable(L, -2);
  return 1;
}

static int box_get(lua_State *L) {
  lua_pushinteger(L, *(lua_Integer *)luaL_checkudata(L, 1, "fixture.box"));
  return 1;
}

static int box_transfer(lua_State *L) {
  lua_Integer *box = luaL_checkudata(L, 1, "fixture.box");
  lua_pushcfunction(L, fixture_box);
  lua_pushinteger(L, *box);
  return 2;
}

static void make_box_type(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"get", box_get}, {"__transfer", box_transfer}, {NULL, NULL}};
  luaL_newmetatable(L, "fixture.box");
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static const luaL_Reg functions[] = {
    {"nanosleep", fixture_nanosleep},
    {"select", fixture_select},
    {"usleep", fixture_usleep},
    {"spin", fixture_spin},
    {"resume", fixture_resume},
    {"locked", fixture_locked},
    {"locked_once", fixture_locked_once},
    {"hidden", fixture_hidden},
    {"fork", fixture_fork},
    {"thread", fixture_thread},
    {"times", fixture_times},
    {"deep", fixture_deep},
    {"box", fixture_box},
    {"sealed", fixture_sealed},
    {NULL, NULL},
};

int luaopen_fixture(lua_State *L);
int luaopen_fixture_calls(lua_State *L);

// Loading it calls the global function on_load.
int luaopen_fixture_calls(lua_State *L) {
  lua_getglobal(L, "on_load");
  lua_call(L, 0, 1);
  return 1;
}

int luaopen_fixture(lua_State *L) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_locks);
  make_box_type(L);
  luaL_newlib(L, functions);
  return 1;
}
