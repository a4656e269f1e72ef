// SPDX-License-Identifier: MIT
// Connections and pipes that goroutines read, write, close, shut down, limit
// and replace all at once. What is read is what was written, in order, however
// the operations ended; in the end no descriptor is left.
#include <string.h>
#include <sys/socket.h>

#include "io/socket.h"
#include "stress.h"
#include "sync/mutex.h"

enum { CONNECTIONS = 12, BYTES_MAX = 20000, PARTS = 3 };

// One way of a connection. Byte n of it is a function of n.
typedef struct way {
  atomic_bool is_written, is_read; // whoever sets one has the field of its name
  uint64_t written, read;
} way;

typedef struct connection {
  gr_refs refs;
  gr_stream *end[2];
  way way[2]; // from the end of that number
} connection;

static struct {
  gr_lock lock;
  connection *connection; // guarded by lock
} slots[CONNECTIONS];

static struct {
  gr_lock lock;
  gr_socket *socket; // guarded by lock
} shared;            // connected to and accepted from by anybody, and replaced

static gr_mutex *pairing; // who has it connects and accepts
static gr_socket *listeners[2];
static atomic_ulong bytes_read, timeouts, closed, made;

static unsigned char byte_at(uint64_t n) {
  return (unsigned char)((n * 0x9E3779B97F4A7C15u) >> 56);
}

// --- connections ---

static const gr_listen_options options = {.backlog = 100};

static gr_socket *listen_at(const gr_address *a, gr_stream_kind kind) {
  int fd = gr_socket_bind(a, SOCK_STREAM, &options);
  CHECK(fd >= 0);
  gr_socket *s = gr_socket_wrap(fd, kind);
  CHECK(s);
  return s;
}

static gr_socket *listen_tcp(void) {
  gr_address a;
  CHECK(gr_address_parse(&a, "127.0.0.1", 0));
  return listen_at(&a, GR_STREAM_TCP);
}

// Of an abstract name.
static gr_socket *listen_unix(void) {
  gr_address a = {.local = {.sun_family = AF_UNIX}};
  a.len = sizeof a.local.sun_family;
  return listen_at(&a, GR_STREAM_UNIX);
}

static void make_pair(gr_stream *end[2], gr_random *r) {
  unsigned which = gr_random_below(r, 3);
  int fds[2];
  if (which == 2) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                     fds) == 0);
    for (int i = 0; i < 2; i++)
      CHECK((end[i] = gr_stream_new(fds[i], GR_STREAM_PIPE)));
    return;
  }
  gr_address a;
  CHECK(gr_mutex_lock(pairing, GR_NEVER) == GR_OK);
  CHECK(gr_socket_address(&listeners[which]->d, false, &a) == 0);
  CHECK(gr_connect(&a, listeners[which]->kind, GR_NEVER, &end[0]) == 0);
  CHECK(gr_accept(listeners[which], GR_NEVER, &end[1]) == 0);
  CHECK(gr_mutex_unlock(pairing));
}

static connection *new_connection(gr_random *r) {
  connection *c = calloc(1, sizeof *c);
  CHECK(c);
  gr_refs_init(&c->refs);
  make_pair(c->end, r);
  for (int i = 0; i < 2; i++) { // no operation lasts for ever
    gr_descriptor_set_timeout(&c->end[i]->d, GR_READ, 1000000);
    gr_descriptor_set_timeout(&c->end[i]->d, GR_WRITE, 1000000);
  }
  atomic_fetch_add(&made, 1);
  return c;
}

static void release(connection *c) {
  if (!c || !gr_refs_release(&c->refs))
    return;
  gr_stream_release(c->end[0]);
  gr_stream_release(c->end[1]);
  free(c);
}

static void replace(unsigned slot, connection *next) {
  gr_lock_lock(&slots[slot].lock);
  connection *before = slots[slot].connection;
  slots[slot].connection = next;
  gr_lock_unlock(&slots[slot].lock);
  release(before);
}

static connection *retain(unsigned slot) {
  gr_lock_lock(&slots[slot].lock);
  connection *c = slots[slot].connection;
  if (c)
    gr_refs_retain(&c->refs);
  gr_lock_unlock(&slots[slot].lock);
  return c;
}

// --- what is done with them ---

static void check_status(int status) {
  if (status == GR_TIMEOUT)
    atomic_fetch_add(&timeouts, 1);
  else if (status == GR_CLOSED)
    atomic_fetch_add(&closed, 1);
  else
    CHECK(status == 0 || status == GR_EOF || status == UV_EPIPE ||
          status == UV_ECONNRESET || status == UV_ENOTCONN);
}

static void write_some(connection *c, int end, gr_random *r) {
  way *w = &c->way[end];
  unsigned char bytes[BYTES_MAX];
  size_t len = 1 + gr_random_below(r, BYTES_MAX), left = 0;
  if (atomic_exchange(&w->is_written, true))
    return;
  for (size_t i = 0; i < len; i++)
    bytes[i] = byte_at(w->written + i);
  size_t part = gr_random_below(r, (uint32_t)len);
  struct iovec parts[PARTS] = {
      {bytes, part}, {bytes, 0}, {bytes + part, len - part}};
  check_status(gr_stream_write(c->end[end], parts, PARTS));
  for (int i = 0; i < PARTS; i++)
    left += parts[i].iov_len;
  w->written += len - left;
  atomic_store(&w->is_written, false);
}

static int take_some(gr_stream *s, gr_random *r, const char **bytes,
                     size_t *len) {
  switch (gr_random_below(r, 4)) {
  case 0:
    return gr_stream_take_count(s, gr_random_below(r, BYTES_MAX), bytes, len);
  case 1:
    return gr_stream_take_line(s, true, bytes, len);
  default:
    return gr_stream_take_some(s, bytes, len);
  }
}

static void read_some(connection *c, int end, gr_random *r) {
  way *w = &c->way[!end];
  gr_stream *s = c->end[end];
  const char *bytes;
  size_t len;
  if (atomic_exchange(&w->is_read, true))
    return;
  int status = gr_stream_read_begin(s);
  if (status == 0) {
    status = take_some(s, r, &bytes, &len);
    bool uses = status == 0 && gr_random_below(r, 4) > 0;
    for (size_t i = 0; status == 0 && i < len; i++)
      CHECK((unsigned char)bytes[i] == byte_at(w->read + i));
    if (uses) {
      w->read += len;
      atomic_fetch_add(&bytes_read, len);
    }
    gr_stream_read_end(s, uses);
  } else if (status == GR_BUSY) {
    status = 0; // one that intrudes
  }
  check_status(status);
  atomic_store(&w->is_read, false);
}

// Does not mind whether another one reads or writes.
static void intrude(gr_stream *s) {
  int status = gr_stream_read_begin(s);
  if (status == 0)
    gr_stream_read_end(s, false);
  CHECK(status == 0 || status == GR_BUSY || status == GR_CLOSED);
}

static void use(connection *c, gr_random *r) {
  int end = (int)gr_random_below(r, 2);
  gr_stream *s = c->end[end];
  switch (gr_random_below(r, 20)) {
  case 0:
    if (gr_random_below(r, 4) == 0 && !gr_stream_close(s))
      atomic_fetch_add(&closed, 1);
    break;
  case 1:
    if (gr_random_below(r, 4) == 0)
      check_status(gr_stream_shutdown(s));
    break;
  case 2:
  case 3:
  case 4:
    gr_descriptor_set_timeout(&s->d, gr_random_below(r, 2) ? GR_READ : GR_WRITE,
                              gr_random_below(r, 3) * 300000);
    break;
  case 5:
    intrude(s);
    break;
  default:
    if (gr_random_below(r, 2))
      write_some(c, end, r);
    else
      read_some(c, end, r);
  }
}

// --- the shared listener ---

static void close_new(int status, gr_stream *const *s) {
  bool is_expected = status == 0 || status == GR_TIMEOUT ||
                     status == GR_CLOSED || status == UV_ECONNREFUSED ||
                     status == UV_ECONNRESET;
  if (!is_expected)
    fprintf(stderr, "status %d (%s)\n", status, gr_io_name(status));
  CHECK(is_expected);
  if (status == 0)
    gr_stream_release(*s);
}

static void use_listener(gr_random *r) {
  gr_address a;
  gr_stream *s = NULL;
  gr_lock_lock(&shared.lock);
  gr_socket *l = shared.socket;
  gr_socket_retain(l);
  gr_lock_unlock(&shared.lock);
  switch (gr_random_below(r, 16)) {
  case 0: {
    gr_socket *next = listen_tcp();
    gr_lock_lock(&shared.lock);
    gr_socket *before = shared.socket;
    shared.socket = next;
    gr_lock_unlock(&shared.lock);
    gr_socket_close(before);
    gr_socket_release(before);
    break;
  }
  case 1:
  case 2:
  case 3:
  case 4:
  case 5:
    if (gr_socket_address(&l->d, false, &a) == 0)
      close_new(gr_connect(&a, GR_STREAM_TCP, short_deadline(r), &s), &s);
    break;
  default:
    close_new(gr_accept(l, short_deadline(r), &s), &s);
  }
  gr_socket_release(l);
}

// --- the test ---

static void init(void) {
  pairing = gr_mutex_new();
  CHECK(pairing);
  listeners[0] = listen_tcp();
  listeners[1] = listen_unix();
  shared.socket = listen_tcp();
  gr_lock_init(&shared.lock, GR_RANK_LEAF);
  for (int i = 0; i < CONNECTIONS; i++)
    gr_lock_init(&slots[i].lock, GR_RANK_LEAF);
}

static void turn(gr_random *r) {
  unsigned slot = gr_random_below(r, CONNECTIONS);
  connection *c = retain(slot);
  if (!c || gr_random_below(r, 64) == 0)
    replace(slot, new_connection(r));
  else if (gr_random_below(r, 8) == 0)
    use_listener(r);
  else
    use(c, r);
  release(c);
  maybe_yield(r);
}

static void check(void) {
  for (unsigned i = 0; i < CONNECTIONS; i++)
    replace(i, NULL);
  gr_socket_release(shared.socket);
  gr_socket_release(listeners[0]);
  gr_socket_release(listeners[1]);
  gr_object_release(pairing);
  CHECK(gr_descriptor_count() == 0);
  printf("stream: %lu connections, %lu bytes, %lu timeouts, %lu closed: ",
         atomic_load(&made), atomic_load(&bytes_read), atomic_load(&timeouts),
         atomic_load(&closed));
}

int main(void) {
  return stress_main(100000, init, turn, check);
}
