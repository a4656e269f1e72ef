// SPDX-License-Identifier: MIT
// Sockets: addresses, connecting, listening, datagrams.
#ifndef GR_SOCKET_H
#define GR_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/stream.h"

typedef struct gr_address {
  socklen_t len;
  union {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    struct sockaddr_un local;
  };
} gr_address;

enum { GR_ADDRESS_TEXT = 128 };

// An address written as such. False when the host is a name. An empty host or
// "*" is any of IPv6's, or of IPv4's.
bool gr_address_parse(gr_address *a, const char *host, int port);

// A path. False when it is too long.
bool gr_address_local(gr_address *a, const char *path, size_t len);

// Its host or path as text; the port, or -1 for a path.
int gr_address_text(const gr_address *a, char text[GR_ADDRESS_TEXT]);

// Makes an address of IPv4 the one that a socket of IPv6 knows it by. The text
// is the same.
void gr_address_map(gr_address *a);

// The address of this end or of the other. 0 or an error code; GR_CLOSED.
int gr_socket_address(gr_descriptor *d, bool other, gr_address *a);

// A socket that does not block and is not inherited, or an error code.
int gr_socket_new(int family, int type);

typedef struct gr_listen_options {
  int backlog;
  bool reuseport, ipv6only;
} gr_listen_options;

// A descriptor that is bound and listens; or, with type SOCK_DGRAM, is bound.
// An error code if it cannot be.
int gr_socket_bind(const gr_address *a, int type,
                   const gr_listen_options *options);

typedef struct gr_socket_options {
  bool sets_nodelay, nodelay;
  int keepalive_s; // 0: none; -1: not said
} gr_socket_options;

// Each of them: 0, an error code, or GR_CLOSED.
int gr_socket_set_nodelay(gr_descriptor *d, bool on);
int gr_socket_set_keepalive(gr_descriptor *d, int seconds);

// Connects before the deadline. Parks. *out is new. Running goroutine, in the
// runtime; so are all below.
int gr_connect(const gr_address *a, gr_stream_kind kind, uint64_t deadline_ns,
               gr_stream **out);

// --- listeners and datagram sockets: shared descriptors with a count ---

typedef struct gr_socket {
  gr_descriptor d;
  gr_refs refs;
  gr_stream_kind kind; // of its connections
  char *path;          // of a Unix listener: removed when it is closed
} gr_socket;

// Takes over the descriptor, which is closed if there is no memory: NULL then.
gr_socket *gr_socket_wrap(int fd, gr_stream_kind kind);
void gr_socket_retain(gr_socket *s);
void gr_socket_release(gr_socket *s);
bool gr_socket_close(gr_socket *s);

int gr_accept(gr_socket *s, uint64_t deadline_ns, gr_stream **out);

// Receives one datagram of at most `room` bytes; sends one.
int gr_receive(gr_socket *s, void *to, size_t room, uint64_t deadline_ns,
               size_t *len, gr_address *from);
int gr_send(gr_socket *s, const void *bytes, size_t len, const gr_address *to);

#endif
