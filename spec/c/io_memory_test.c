// SPDX-License-Identifier: MIT
// The layer io when memory runs out: every single allocation is refused in
// turn, once or from then on. An operation that is refused memory says so; in
// the end all is freed, and no descriptor is left open.
//
// Linked with --wrap for malloc, calloc, realloc, strdup and free.
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>

#include "io/dns.h"
#include "io/fs.h"
#include "io/process.h"
#include "io/socket.h"
#include "io/watch.h"
#include "sched/runtime.h"
#include "sched/sched.h"
#include "test.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static struct {
  bool once;
  unsigned long nth, count; // the first is 1
} refusals;

// Blocks, of all threads: the monitor frees what it was given, if need be
// later than in the round that it was made in.
static atomic_long live;
static long kept; // the least that there were after a round

// Of the test's own thread, on which main always goes on.
static _Thread_local bool is_watched;

static bool refuses(void) {
  if (!is_watched)
    return false;
  unsigned long i = ++refusals.count;
  return refusals.once ? i == refusals.nth : i >= refusals.nth;
}

static void *counted(void *block) {
  if (block)
    atomic_fetch_add(&live, 1);
  return block;
}

void *__wrap_malloc(size_t bytes) {
  return refuses() ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes) {
  return refuses() ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *block, size_t bytes) {
  if (!block)
    return __wrap_malloc(bytes);
  return refuses() ? NULL : __real_realloc(block, bytes);
}

char *__wrap_strdup(const char *text) {
  char *copy = __wrap_malloc(strlen(text) + 1);
  return copy ? strcpy(copy, text) : NULL;
}

void __wrap_free(void *block) {
  if (block)
    atomic_fetch_sub(&live, 1);
  __real_free(block);
}

// True if it went well. Nothing else than memory may be missing.
static bool done(int status) {
  CHECK(status == 0 || status == GR_NOMEM || status == UV_ENOMEM);
  return status == 0;
}

// --- connections ---

enum { LONG = 100000 };

static void carry(gr_stream *from, gr_stream *to) {
  static char text[LONG];
  memset(text, 'x', LONG);
  text[LONG - 1] = '\n';
  struct iovec part = {text, LONG};
  const char *bytes;
  size_t len;
  CHECK(gr_stream_write(from, &part, 1) == 0);
  CHECK(gr_stream_read_begin(to) == 0);
  bool took = done(gr_stream_take_line(to, true, &bytes, &len));
  CHECK(!took || (len == LONG && memcmp(bytes, text, LONG) == 0));
  gr_stream_read_end(to, took);
}

static void connect_to(gr_socket *listener) {
  gr_address a;
  gr_stream *dialled, *accepted;
  CHECK(gr_socket_address(&listener->d, false, &a) == 0);
  if (!done(gr_connect(&a, listener->kind, GR_NEVER, &dialled)))
    return;
  if (done(gr_accept(listener, GR_NEVER, &accepted))) {
    carry(dialled, accepted);
    gr_stream_release(accepted);
  }
  gr_stream_release(dialled);
}

static void use_connections(void) {
  static const gr_listen_options options = {.backlog = 10};
  for (int i = 0; i < 2; i++) {
    gr_address a = {.len = sizeof a.local.sun_family};
    a.local.sun_family = AF_UNIX; // of an abstract name
    if (i == 0)
      CHECK(gr_address_parse(&a, "127.0.0.1", 0));
    int fd = gr_socket_bind(&a, SOCK_STREAM, &options);
    CHECK(fd >= 0);
    gr_socket *s = gr_socket_wrap(fd, i ? GR_STREAM_UNIX : GR_STREAM_TCP);
    if (!s)
      continue;
    connect_to(s);
    gr_socket_release(s);
  }
}

static void use_names(void) {
  static const char *const names[] = {"127.0.0.1", "localhost"};
  for (int i = 0; i < 2; i++) {
    gr_addresses found;
    CHECK(!done(gr_resolve(names[i], 1, GR_NEVER, &found)) || found.count > 0);
    free(found.list);
  }
}

// --- files, outside the runtime ---

static void use_directory(const char *path, const char *file) {
  char *bytes;
  size_t len;
  gr_fs_entries entries;
  gr_stream *s;
  CHECK(gr_fs_write_file(file, "content", 7) == 0);
  if (done(gr_fs_read_file(file, &bytes, &len))) {
    CHECK(len == 7 && memcmp(bytes, "content", 7) == 0);
    free(bytes);
  }
  if (done(gr_fs_readdir(path, &entries)))
    CHECK(entries.count == 1);
  gr_fs_free_entries(&entries);
  if (done(gr_fs_open(file, O_RDONLY, &s)))
    gr_stream_release(s);
  CHECK(gr_fs_do(GR_FS_UNLINK, file, NULL) == 0);
  CHECK(gr_fs_do(GR_FS_SYMLINK, "nowhere", file) == 0);
  if (done(gr_fs_readlink(file, &bytes))) {
    CHECK(strcmp(bytes, "nowhere") == 0);
    free(bytes);
  }
  CHECK(gr_fs_do(GR_FS_UNLINK, file, NULL) == 0);
}

static void use_files(void) {
  char template[] = "/tmp/goroutines_XXXXXX", file[64], *path;
  gr_leave();
  if (done(gr_fs_mkdtemp(template, &path))) {
    snprintf(file, sizeof file, "%s/file", path);
    use_directory(path, file);
    CHECK(gr_fs_do(GR_FS_RMDIR, path, NULL) == 0);
    free(path);
  }
  gr_enter();
}

// --- what the monitor's loop does ---

static void use_process(void) {
  char *args[] = {(char[]){"cat"}, NULL};
  char *env[] = {(char[]){"PATH=/usr/bin:/bin"}, NULL};
  gr_spawn spawn = {.args = args,
                    .env = env,
                    .stdio = {{.kind = GR_STDIO_PIPE},
                              {.kind = GR_STDIO_PIPE},
                              {.kind = GR_STDIO_NULL}}};
  gr_process *p;
  if (!done(gr_process_spawn(&spawn, &p)))
    return;
  carry(p->streams[0], p->streams[1]);
  gr_stream_close(p->streams[0]);
  // It may be writing, if there was no memory to read.
  gr_stream_close(p->streams[1]);
  CHECK(gr_process_wait(p, GR_NEVER) == 0);
  gr_process_release(p);
}

static void use_watch(void) {
  gr_channel *c = gr_channel_new(1);
  if (!c)
    return;
  done(gr_watch_path(c, "/"));
  gr_channel_release(c);
}

// --- the test ---

static unsigned open_descriptors(void) {
  unsigned count = 0;
  for (int fd = 0; fd < 256; fd++)
    count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static void use_all(void) {
  use_connections();
  use_names();
  use_files();
  use_process();
  use_watch();
}

static void check_nothing_is_left(unsigned descriptors) {
  for (int i = 0; i < 2000 && atomic_load(&live) > kept; i++)
    usleep(1000); // the monitor has yet to let go
  CHECK(atomic_load(&live) <= kept);
  kept = atomic_load(&live);
  CHECK(gr_descriptor_count() == 0);
  CHECK(open_descriptors() == descriptors);
}

// True when nothing was refused.
static bool refuse(unsigned long nth, bool once, unsigned descriptors) {
  refusals.nth = nth;
  refusals.once = once;
  refusals.count = 0;
  is_watched = true;
  use_all();
  is_watched = false;
  check_nothing_is_left(descriptors);
  return refusals.count < nth;
}

int main(void) {
  limit_time(300);
  lua_State *L = luaL_newstate();
  CHECK(!gr_runtime_start() && gr_runtime_join(L));
  gr_enter();
  CHECK(gr_set_procs(1));
  use_all(); // makes what is kept: threads, sets, libuv's pool
  usleep(100000);
  kept = atomic_load(&live);
  unsigned descriptors = open_descriptors();
  unsigned long n = 1;
  while (!refuse(n, true, descriptors) || !refuse(n, false, descriptors))
    n++;
  gr_leave();
  printf("io: %lu allocations refused in turn: ok\n", n - 1);
  fflush(stdout);
  gr_runtime_stop();
  lua_close(L);
}
