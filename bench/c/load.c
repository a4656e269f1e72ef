// SPDX-License-Identifier: MIT
// Loads an echo server: load PORT PID CONNECTIONS SECONDS. On each connection
// it sends 64 bytes, waits for them to come back, and sends again. Prints
// requests a second, the server's CPU time for each in microseconds, and the
// 50th and 99th percentile of the latency in microseconds.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 64, BATCH = 256, WARM_UP_NS = 300000000 };
// Latencies are counted by their size: 64 steps for each power of two.
enum { STEPS = 64, SIZES = 40 };

typedef struct client {
  int fd;
  unsigned got; // of the message that comes back
  long long sent_ns;
} client;

static unsigned long counts[SIZES * STEPS], requests;

static void must(int result) {
  if (result >= 0)
    return;
  perror("load");
  exit(1);
}

static long long time_of(clockid_t clock) {
  struct timespec t;
  must(clock_gettime(clock, &t));
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int place_of(long long ns) {
  int size = 0;
  while (ns >> size >= 2 * STEPS)
    size++;
  int place = size * STEPS + (int)(ns >> size);
  return place < SIZES * STEPS ? place : SIZES * STEPS - 1;
}

static double us_at(int place) {
  int size = place < 2 * STEPS ? 0 : place / STEPS - 1;
  return (double)((long long)(place - size * STEPS) << size) / 1e3;
}

static double percentile(double part) {
  unsigned long left = (unsigned long)((double)requests * part);
  int place = 0;
  while (place < SIZES * STEPS - 1 && left >= counts[place])
    left -= counts[place++];
  return us_at(place);
}

static void send_message(client *c) {
  static const char message[BYTES];
  c->got = 0;
  c->sent_ns = time_of(CLOCK_MONOTONIC);
  if (write(c->fd, message, BYTES) != BYTES) {
    fprintf(stderr, "load: a message was not sent\n");
    exit(1);
  }
}

static void on_readable(client *c) {
  char bytes[BYTES];
  ssize_t got = read(c->fd, bytes, BYTES - c->got);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0) {
    fprintf(stderr, "load: the server has closed a connection\n");
    exit(1);
  }
  c->got += (unsigned)got;
  if (c->got < BYTES)
    return;
  counts[place_of(time_of(CLOCK_MONOTONIC) - c->sent_ns)]++;
  requests++;
  send_message(c);
}

static void add_client(client *c, int set, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                           .sin_port = htons((unsigned short)port)};
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  int on = 1;
  must(c->fd = socket(AF_INET, SOCK_STREAM, 0));
  must(connect(c->fd, (struct sockaddr *)&to, sizeof to));
  must(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  must(epoll_ctl(set, EPOLL_CTL_ADD, c->fd, &e));
}

static void run_until(int set, long long end_ns) {
  struct epoll_event events[BATCH];
  while (time_of(CLOCK_MONOTONIC) < end_ns) {
    int count = epoll_wait(set, events, BATCH, 100);
    if (count < 0 && errno != EINTR)
      must(count);
    for (int i = 0; i < count; i++)
      on_readable(events[i].data.ptr);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "load PORT PID CONNECTIONS SECONDS\n");
    return 1;
  }
  int port = atoi(argv[1]), count = atoi(argv[3]);
  clockid_t server;
  must(-clock_getcpuclockid(atoi(argv[2]), &server));
  int set = epoll_create1(0);
  client *clients = calloc((size_t)count, sizeof *clients);
  must(clients ? set : -1);
  for (int i = 0; i < count; i++)
    add_client(&clients[i], set, port);
  for (int i = 0; i < count; i++)
    send_message(&clients[i]);
  run_until(set, time_of(CLOCK_MONOTONIC) + WARM_UP_NS);
  memset(counts, 0, sizeof counts);
  requests = 0;
  long long begin_ns = time_of(CLOCK_MONOTONIC), cpu_ns = time_of(server);
  run_until(set, begin_ns + (long long)(atof(argv[4]) * 1e9));
  double ns = (double)(time_of(CLOCK_MONOTONIC) - begin_ns);
  cpu_ns = time_of(server) - cpu_ns;
  printf("%.0f %.3f %.1f %.1f\n", (double)requests / ns * 1e9,
         requests ? (double)cpu_ns / 1e3 / (double)requests : 0,
         percentile(0.5), percentile(0.99));
  return 0;
}
