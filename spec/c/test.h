// SPDX-License-Identifier: MIT
// What the C tests share: a check that stays on in every build, numbers from
// the environment, and a time limit.
#ifndef GR_TEST_H
#define GR_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(cond)                                                            \
  ((cond)                                                                      \
       ? (void)0                                                               \
       : (fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond), \
          abort()))

// A knob of the test, from the environment; printed, so that a failure can be
// repeated.
static inline unsigned long knob(const char *name, unsigned long otherwise) {
  const char *text = getenv(name);
  unsigned long value = text ? strtoul(text, NULL, 10) : otherwise;
  printf("%s=%lu ", name, value);
  return value;
}

// Ends the process by SIGALRM when the test takes longer.
static inline void limit_time(unsigned seconds) {
  const char *text = getenv("LIMIT");
  alarm(text ? (unsigned)atoi(text) : seconds);
}

#endif
