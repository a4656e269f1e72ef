// SPDX-License-Identifier: MIT
#include "io/signal.h"

#include <signal.h>
#include <string.h>

// --- names ---

static const struct {
  const char *name;
  int number;
} names[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},
    {"ILL", SIGILL},       {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
    {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE},     {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD},     {"CONT", SIGCONT}, {"STOP", SIGSTOP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},         {"SYS", SIGSYS},
#ifdef SIGPWR
    {"PWR", SIGPWR},
#endif
};

enum { NAMES = sizeof names / sizeof *names };

int gr_signal_number(const char *name) {
  for (int i = 0; i < NAMES; i++)
    if (!strcmp(names[i].name, name))
      return names[i].number;
  return 0;
}

const char *gr_signal_name(int number) {
  for (int i = 0; i < NAMES; i++)
    if (names[i].number == number)
      return names[i].name;
  return NULL;
}
