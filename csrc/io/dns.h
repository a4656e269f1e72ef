// SPDX-License-Identifier: MIT
// Names of hosts, by uv_getaddrinfo: in libuv's thread pool, so that one who
// waits can leave.
#ifndef GR_DNS_H
#define GR_DNS_H

#include "io/socket.h"

typedef struct gr_addresses {
  gr_address *list; // to be freed by the caller
  size_t count;
} gr_addresses;

// The addresses of a host, with the port, in the order in which they are to be
// tried. What is written as an address is not looked up. 0, an error code, or
// a status. Parks. Running goroutine, in the runtime.
int gr_resolve(const char *host, int port, uint64_t deadline_ns,
               gr_addresses *out);

#endif
