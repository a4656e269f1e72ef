// SPDX-License-Identifier: MIT
// Child processes. They are waited for at each SIGCHLD, on the monitor's loop:
// that is always run, and so learns at once when a child has ended.
#ifndef GR_PROCESS_H
#define GR_PROCESS_H

#include "base/list.h"
#include "io/stream.h"

typedef struct gr_process {
  gr_refs refs;
  int pid;               // constant
  gr_stream *streams[3]; // our ends of pipes, or NULL; constant

  gr_lock lock;
  // Guarded by lock.
  gr_list waiters;
  bool has_ended;
  int err, code, signal; // then; err: somebody else has waited for it

  gr_link link; // among the children; under the token of the monitor's loop
} gr_process;

// What a child's descriptor 0, 1 or 2 is to be.
typedef enum gr_stdio_kind {
  GR_STDIO_INHERIT,
  GR_STDIO_NULL,
  GR_STDIO_PIPE,
  GR_STDIO_STREAM,
} gr_stdio_kind;

typedef struct gr_stdio {
  gr_stdio_kind kind;
  gr_stream *stream;
} gr_stdio;

typedef struct gr_spawn {
  char **args; // ends with NULL
  char **env;  // the same, or NULL for ours
  const char *cwd;
  gr_stdio stdio[3];
} gr_spawn;

// Starts a program, whose descriptors 0, 1 and 2 are to be `child`'s where
// these are not negative. 0 or an error code. For process.c; may block the
// thread.
int gr_spawn_start(const gr_spawn *spawn, const int child[3], int *pid);

// Starts a process. 0, an error code, or a status. Parks. Running goroutine, in
// the runtime; so are all below.
int gr_process_spawn(const gr_spawn *spawn, gr_process **out);
void gr_process_retain(gr_process *p);
void gr_process_release(gr_process *p);

// Waits for its end: 0 or a status.
int gr_process_wait(gr_process *p, uint64_t deadline_ns);

// Sends it a signal. 0, or an error code: UV_ESRCH when it has ended.
int gr_process_kill(gr_process *p, int signal);

#endif
