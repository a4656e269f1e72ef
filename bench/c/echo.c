// SPDX-License-Identifier: MIT
// The echo server in plain C, with libuv: echo-c THREADS. Each thread has a
// loop and a listener, which share a port.
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { BUFFER = 4096 };

// One message at a time is under way on a connection.
typedef struct client {
  uv_tcp_t tcp;
  uv_write_t write;
  char buffer[BUFFER];
} client;

static void must(int result) {
  if (result >= 0)
    return;
  fprintf(stderr, "echo: %s\n", uv_strerror(result));
  exit(1);
}

static void must_sys(int result) {
  if (result < 0) {
    perror("echo");
    exit(1);
  }
}

static void on_close(uv_handle_t *handle) {
  free(handle->data);
}

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
  (void)wanted;
  client *c = handle->data;
  *buffer = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

static void on_written(uv_write_t *write, int status) {
  client *c = write->data;
  if (status < 0)
    uv_close((uv_handle_t *)&c->tcp, on_close);
  else
    uv_read_start((uv_stream_t *)&c->tcp, on_buffer, on_read);
}

static void on_read(uv_stream_t *stream, ssize_t count,
                    const uv_buf_t *buffer) {
  client *c = stream->data;
  uv_buf_t data = uv_buf_init(buffer->base, count > 0 ? (unsigned)count : 0);
  if (count < 0) {
    uv_close((uv_handle_t *)stream, on_close);
    return;
  }
  // What is not written at once keeps the buffer, and so stops the reading.
  int done = count > 0 ? uv_try_write(stream, &data, 1) : 0;
  if (done == (int)count)
    return;
  if (done > 0) {
    data.base += done;
    data.len -= (size_t)done;
  }
  uv_read_stop(stream);
  c->write.data = c;
  if (uv_write(&c->write, stream, &data, 1, on_written) != 0)
    uv_close((uv_handle_t *)stream, on_close);
}

static void on_connection(uv_stream_t *listener, int status) {
  client *c = calloc(1, sizeof *c);
  must(status);
  if (!c)
    must(UV_ENOMEM);
  c->tcp.data = c;
  must(uv_tcp_init(listener->loop, &c->tcp));
  must(uv_accept(listener, (uv_stream_t *)&c->tcp));
  uv_tcp_nodelay(&c->tcp, 1);
  must(uv_read_start((uv_stream_t *)&c->tcp, on_buffer, on_read));
}

static struct sockaddr_in address;

static int listening_socket(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  socklen_t len = sizeof address;
  must_sys(fd);
  must_sys(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
  must_sys(bind(fd, (struct sockaddr *)&address, sizeof address));
  must_sys(getsockname(fd, (struct sockaddr *)&address, &len));
  must_sys(listen(fd, SOMAXCONN)); // whoever is told the port may connect
  return fd;
}

static void serve(void *fd) {
  uv_loop_t loop;
  uv_tcp_t listener;
  must(uv_loop_init(&loop));
  must(uv_tcp_init(&loop, &listener));
  must(uv_tcp_open(&listener, (int)(intptr_t)fd));
  must(uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_connection));
  uv_run(&loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int first = listening_socket(); // picks the port
  for (int i = 1; i < threads; i++) {
    uv_thread_t thread;
    must(
        uv_thread_create(&thread, serve, (void *)(intptr_t)listening_socket()));
  }
  printf("listening at %d\n", ntohs(address.sin_port));
  fflush(stdout);
  serve((void *)(intptr_t)first);
  return 0;
}
