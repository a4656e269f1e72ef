// SPDX-License-Identifier: MIT
// Addresses, and making sockets of them.
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

// --- addresses ---

// "fe80::1%eth0": the zone is an interface.
static bool parse_ipv6(gr_address *a, const char *host) {
  char text[INET6_ADDRSTRLEN];
  const char *zone = strchr(host, '%');
  size_t len = zone ? (size_t)(zone - host) : strlen(host);
  if (len >= sizeof text)
    return false;
  memcpy(text, host, len);
  text[len] = '\0';
  if (inet_pton(AF_INET6, text, &a->ipv6.sin6_addr) != 1)
    return false;
  if (zone)
    a->ipv6.sin6_scope_id = if_nametoindex(zone + 1);
  return true;
}

static bool has_ipv6(void) {
  int fd = gr_socket_new(AF_INET6, SOCK_STREAM);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

bool gr_address_parse(gr_address *a, const char *host, int port) {
  memset(a, 0, sizeof *a);
  if (!*host || !strcmp(host, "*"))
    host = has_ipv6() ? "::" : "0.0.0.0";
  if (inet_pton(AF_INET, host, &a->ipv4.sin_addr) == 1) {
    a->ipv4.sin_family = AF_INET;
    a->ipv4.sin_port = htons((uint16_t)port);
    a->len = sizeof a->ipv4;
    return true;
  }
  if (!parse_ipv6(a, host))
    return false;
  a->ipv6.sin6_family = AF_INET6;
  a->ipv6.sin6_port = htons((uint16_t)port);
  a->len = sizeof a->ipv6;
  return true;
}

bool gr_address_local(gr_address *a, const char *path, size_t len) {
  memset(a, 0, sizeof *a);
  if (len >= sizeof a->local.sun_path)
    return false;
  a->local.sun_family = AF_UNIX;
  memcpy(a->local.sun_path, path, len);
  a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
  return true;
}

int gr_address_text(const gr_address *a, char text[GR_ADDRESS_TEXT]) {
  char zone[IF_NAMESIZE];
  text[0] = '\0';
  switch (a->any.sa_family) {
  case AF_INET:
    inet_ntop(AF_INET, &a->ipv4.sin_addr, text, GR_ADDRESS_TEXT);
    return ntohs(a->ipv4.sin_port);
  case AF_INET6:
    if (IN6_IS_ADDR_V4MAPPED(&a->ipv6.sin6_addr)) {
      inet_ntop(AF_INET, &a->ipv6.sin6_addr.s6_addr[12], text, GR_ADDRESS_TEXT);
      return ntohs(a->ipv6.sin6_port);
    }
    inet_ntop(AF_INET6, &a->ipv6.sin6_addr, text, GR_ADDRESS_TEXT);
    if (a->ipv6.sin6_scope_id && if_indextoname(a->ipv6.sin6_scope_id, zone)) {
      strcat(text, "%");
      strcat(text, zone);
    }
    return ntohs(a->ipv6.sin6_port);
  case AF_UNIX:
    if (a->len > offsetof(struct sockaddr_un, sun_path))
      snprintf(text, GR_ADDRESS_TEXT, "%s", a->local.sun_path);
    return -1;
  default:
    return -1;
  }
}

void gr_address_map(gr_address *a) {
  struct sockaddr_in from = a->ipv4;
  memset(a, 0, sizeof *a);
  a->ipv6.sin6_family = AF_INET6;
  a->ipv6.sin6_port = from.sin_port;
  a->ipv6.sin6_addr.s6_addr[10] = a->ipv6.sin6_addr.s6_addr[11] = 0xff;
  memcpy(&a->ipv6.sin6_addr.s6_addr[12], &from.sin_addr, 4);
  a->len = sizeof a->ipv6;
}

// --- sockets ---

int gr_socket_new(int family, int type) {
#ifdef __linux__
  int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? gr_sys_error(fd) : fd;
#else
  int fd = socket(family, type, 0);
  if (fd < 0)
    return gr_sys_error(fd);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
#endif
}

static int set_int(int fd, int level, int name, int value) {
  return gr_sys_error(setsockopt(fd, level, name, &value, sizeof value));
}

static int bind_as(int fd, const gr_address *a, int type,
                   const gr_listen_options *options) {
  int family = a->any.sa_family, err = 0;
  if (family != AF_UNIX && type == SOCK_STREAM)
    err = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!err && options->reuseport)
    err = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (!err && family == AF_INET6)
    err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6only);
  if (!err)
    err = gr_sys_error(bind(fd, &a->any, a->len));
  if (!err && type == SOCK_STREAM)
    err = gr_sys_error(listen(fd, options->backlog));
  return err;
}

int gr_socket_bind(const gr_address *a, int type,
                   const gr_listen_options *options) {
  int fd = gr_socket_new(a->any.sa_family, type);
  if (fd < 0)
    return fd;
  int err = bind_as(fd, a, type, options);
  if (!err)
    return fd;
  close(fd);
  return err;
}

int gr_socket_address(gr_descriptor *d, bool other, gr_address *a) {
  int status = GR_CLOSED;
  memset(a, 0, sizeof *a);
  a->len = sizeof *a - offsetof(gr_address, any);
  gr_lock_lock(&d->lock); // the number is open while it is held
  if (!d->closed)
    status = gr_sys_error(other ? getpeername(d->fd, &a->any, &a->len)
                                : getsockname(d->fd, &a->any, &a->len));
  gr_lock_unlock(&d->lock);
  return status;
}

int gr_socket_set_nodelay(gr_descriptor *d, bool on) {
  gr_lock_lock(&d->lock);
  int status =
      d->closed ? GR_CLOSED : set_int(d->fd, IPPROTO_TCP, TCP_NODELAY, on);
  gr_lock_unlock(&d->lock);
  return status;
}

static int keep_alive(int fd, int seconds) {
  int err = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
#ifdef TCP_KEEPIDLE
  if (!err && seconds > 0)
    err = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  if (!err && seconds > 0)
    err = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
#endif
  return err;
}

int gr_socket_set_keepalive(gr_descriptor *d, int seconds) {
  gr_lock_lock(&d->lock);
  int status = d->closed ? GR_CLOSED : keep_alive(d->fd, seconds);
  gr_lock_unlock(&d->lock);
  return status;
}

// --- connecting ---

enum { FULL_PAUSE_NS = 1000000, FULL_PAUSE_MAX_NS = 50000000 };

static void pause_until(uint64_t when_ns) {
  gr_wait_open(gr_self());
  gr_park(GR_WAIT_CONNECT, NULL, when_ns, NULL, NULL);
}

// A Unix listener whose queue is full gives EAGAIN, and no event when there is
// room: looks again and again, the more seldom the longer it takes.
static int connect_once(gr_descriptor *d, const gr_address *a,
                        uint64_t deadline_ns) {
  uint64_t pause_ns = FULL_PAUSE_NS;
  for (;;) {
    int status = gr_sys_error(connect(d->fd, &a->any, a->len));
    if (status != UV_EAGAIN || a->any.sa_family != AF_UNIX)
      return status;
    uint64_t now_ns = gr_now_ns();
    if (deadline_ns <= now_ns)
      return GR_TIMEOUT;
    uint64_t until_ns = now_ns + pause_ns;
    pause_until(until_ns < deadline_ns ? until_ns : deadline_ns);
    unsigned reason = gr_wait_reason(gr_self());
    if (reason != GR_CLAIM_TIMEOUT)
      return (int)gr_wait_status(gr_self());
    if (pause_ns < FULL_PAUSE_MAX_NS)
      pause_ns *= 2;
  }
}

static int outcome_of(gr_descriptor *d) {
  int err = 0;
  socklen_t len = sizeof err;
  if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
    return gr_sys_error(-1);
  if (err == EPIPE) // Linux: the other side has closed it, and then reset it
    err = ECONNRESET;
  return err ? uv_translate_sys_error(err) : 0;
}

static int connect_stream(gr_stream *s, const gr_address *a,
                          uint64_t deadline_ns) {
  gr_descriptor *d = &s->d;
  int status = connect_once(d, a, deadline_ns);
  if (status == uv_translate_sys_error(EINPROGRESS) || status == UV_EINTR) {
    gr_descriptor_try(d, GR_WRITE);
    status = gr_descriptor_wait(d, GR_WRITE, GR_WAIT_CONNECT, &deadline_ns);
    if (status == 0)
      status = outcome_of(d);
  }
  return status;
}

int gr_connect(const gr_address *a, gr_stream_kind kind, uint64_t deadline_ns,
               gr_stream **out) {
  int fd = gr_socket_new(a->any.sa_family, SOCK_STREAM);
  if (fd < 0)
    return fd;
  gr_stream *s = gr_stream_new(fd, kind);
  if (!s)
    return GR_NOMEM;
  int status = gr_descriptor_begin(&s->d, GR_WRITE);
  GR_ASSERT(status == 0);
  status = connect_stream(s, a, deadline_ns);
  gr_descriptor_end(&s->d, GR_WRITE);
  if (status == 0)
    *out = s;
  else
    gr_stream_release(s);
  return status;
}
