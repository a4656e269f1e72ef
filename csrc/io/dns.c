// SPDX-License-Identifier: MIT
// A lookup belongs to the goroutine that waits and to libuv; the last to let go
// frees it, for the goroutine may leave first: its time is up, or the process
// has interrupted it.
#include "io/dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "sched/monitor.h"

typedef struct lookup {
  gr_loop_request request;
  uv_getaddrinfo_t uv;
  gr_refs refs;

  gr_lock lock;
  // Guarded by lock.
  bool done;
  int status;
  struct addrinfo *found;
  gr_goroutine *g; // NULL when it has left
  gr_ticket ticket;

  char host[];
} lookup;

static atomic_uint lookups; // in libuv's hands

static void release(lookup *l) {
  if (!gr_refs_release(&l->refs))
    return;
  if (l->found)
    uv_freeaddrinfo(l->found);
  free(l);
}

static void finish(lookup *l, int status, struct addrinfo *found) {
  gr_lock_lock(&l->lock);
  l->done = true;
  l->status = status;
  l->found = found;
  gr_goroutine *g = l->g;
  if (g && !gr_wait_claim(g, l->ticket, GR_CLAIM_OBJECT))
    g = NULL;
  gr_lock_unlock(&l->lock);
  atomic_fetch_sub(&lookups, 1);
  if (g)
    gr_ready_woken(g);
  release(l);
}

static void on_found(uv_getaddrinfo_t *uv, int status, struct addrinfo *found) {
  finish(GR_CONTAINER(uv, lookup, uv), status, found);
}

static void start(gr_loop *loop, gr_loop_request *request) {
  lookup *l = GR_CONTAINER(request, lookup, request);
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  int err = uv_getaddrinfo(&loop->uv, &l->uv, on_found, l->host, NULL, &hints);
  if (err)
    finish(l, err, NULL);
}

// --- the end of the process ---

// A lookup may take long, and libuv's destructor would wait for it: what is
// still to be done at the end of the process is done here, and then it ends.
#ifdef __GLIBC__
static void end_without_pool(int status, void *unused) {
  (void)unused;
  if (atomic_load(&lookups) == 0)
    return;
  fflush(NULL);
  _exit(status);
}
#endif

static void guard_end(void) {
#ifdef __GLIBC__
  static atomic_bool guarded;
  if (!atomic_exchange(&guarded, true))
    on_exit(end_without_pool, NULL);
#endif
}

// --- waiting ---

static void commit_submit(gr_goroutine *g, void *arg) {
  (void)g;
  lookup *l = arg;
  gr_lock_unlock(&l->lock);
  gr_loop_submit(gr_monitor_loop(), &l->request);
}

static int copy(const struct addrinfo *found, int port, gr_addresses *out) {
  size_t count = 0;
  for (const struct addrinfo *i = found; i; i = i->ai_next)
    count++;
  out->list = calloc(count ? count : 1, sizeof *out->list);
  if (!out->list)
    return GR_NOMEM;
  out->count = 0;
  for (const struct addrinfo *i = found; i; i = i->ai_next) {
    gr_address *a = &out->list[out->count];
    if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
      continue;
    memcpy(&a->any, i->ai_addr, i->ai_addrlen);
    a->len = i->ai_addrlen;
    if (i->ai_family == AF_INET)
      a->ipv4.sin_port = htons((uint16_t)port);
    else
      a->ipv6.sin6_port = htons((uint16_t)port);
    out->count++;
  }
  return out->count ? 0 : UV_EAI_NONAME;
}

static int look_up(lookup *l, int port, uint64_t deadline_ns,
                   gr_addresses *out) {
  gr_goroutine *g = l->g;
  gr_refs_retain(&l->refs); // libuv's
  atomic_fetch_add(&lookups, 1);
  atomic_fetch_add(&gr_the_sched.outside_waits, 1);
  gr_lock_lock(&l->lock);
  l->ticket = gr_wait_open(g);
  gr_park(GR_WAIT_REQUEST, NULL, deadline_ns, commit_submit, l);
  atomic_fetch_sub(&gr_the_sched.outside_waits, 1);
  gr_lock_lock(&l->lock);
  l->g = NULL;
  gr_lock_unlock(&l->lock);
  if (gr_wait_reason(g) != GR_CLAIM_OBJECT)
    return (int)gr_wait_status(g);
  return l->status ? l->status : copy(l->found, port, out);
}

int gr_resolve(const char *host, int port, uint64_t deadline_ns,
               gr_addresses *out) {
  gr_address written;
  out->list = NULL;
  out->count = 0;
  if (gr_address_parse(&written, host, port)) {
    out->list = malloc(sizeof written);
    if (!out->list)
      return GR_NOMEM;
    out->list[0] = written;
    out->count = 1;
    return 0;
  }
  size_t bytes = strlen(host) + 1;
  lookup *l = calloc(1, sizeof *l + bytes);
  if (!l)
    return GR_NOMEM;
  guard_end();
  memcpy(l->host, host, bytes);
  gr_refs_init(&l->refs);
  gr_lock_init(&l->lock, GR_RANK_CHANNEL);
  l->g = gr_self();
  l->request.run = start;
  int status = look_up(l, port, deadline_ns, out);
  release(l);
  return status;
}
