// SPDX-License-Identifier: MIT
// Starting a program, by posix_spawn: on the goroutine's own thread, announced
// as blocking, for it returns when the program has been loaded. Not by
// uv_spawn, which empties the mask of signals just before the program begins.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/process.h"

extern char **environ;

typedef struct setup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
} setup;

// Signals that were ignored stay so, and what was caught gets its default.
static int set_attributes(setup *s) {
  int err = posix_spawnattr_setsigmask(&s->attributes, &gr_the_sched.host_mask);
  return err ? err
             : posix_spawnattr_setflags(&s->attributes, POSIX_SPAWN_SETSIGMASK);
}

static int add_actions(setup *s, const gr_spawn *spawn, const int child[3]) {
  int err = 0;
  for (int i = 0; !err && i < 3; i++) {
    if (child[i] >= 0)
      err = posix_spawn_file_actions_adddup2(&s->actions, child[i], i);
    else if (spawn->stdio[i].kind == GR_STDIO_NULL)
      err = posix_spawn_file_actions_addopen(&s->actions, i, "/dev/null",
                                             O_RDWR, 0);
  }
  if (!err && spawn->cwd)
    err = posix_spawn_file_actions_addchdir_np(&s->actions, spawn->cwd);
  return err;
}

static int start_at(const char *path, setup *s, const gr_spawn *spawn,
                    pid_t *pid) {
  return posix_spawn(pid, path, &s->actions, &s->attributes, spawn->args,
                     spawn->env ? spawn->env : environ);
}

static const char *path_in(char **env) {
  for (; *env; env++)
    if (!strncmp(*env, "PATH=", 5))
      return *env + 5;
  return "/bin:/usr/bin";
}

// Where the child's own environment says; posix_spawnp looks into ours.
static int search(setup *s, const gr_spawn *spawn, pid_t *pid) {
  const char *dirs = path_in(spawn->env), *name = spawn->args[0];
  char *path = malloc(strlen(dirs) + strlen(name) + 2);
  int err = path ? ENOENT : ENOMEM;
  bool is_forbidden = false;
  while (path) {
    int len = (int)strcspn(dirs, ":");
    sprintf(path, "%.*s%s%s", len, dirs, len ? "/" : "", name);
    err = start_at(path, s, spawn, pid);
    is_forbidden |= err == EACCES;
    dirs += len;
    if (!*dirs++ || (err != ENOENT && err != ENOTDIR && err != EACCES))
      break;
  }
  free(path);
  return err == ENOENT && is_forbidden ? EACCES : err;
}

static int start(setup *s, const gr_spawn *spawn, pid_t *pid) {
  const char *name = spawn->args[0];
  if (!*name)
    return ENOENT;
  if (strchr(name, '/'))
    return start_at(name, s, spawn, pid);
  if (spawn->env)
    return search(s, spawn, pid);
  return posix_spawnp(pid, name, &s->actions, &s->attributes, spawn->args,
                      environ);
}

int gr_spawn_start(const gr_spawn *spawn, const int child[3], int *pid) {
  setup s;
  pid_t started = 0;
  int err = posix_spawn_file_actions_init(&s.actions);
  if (err)
    return uv_translate_sys_error(err);
  err = posix_spawnattr_init(&s.attributes);
  if (!err) {
    err = set_attributes(&s);
    if (!err)
      err = add_actions(&s, spawn, child);
    if (!err)
      err = start(&s, spawn, &started);
    posix_spawnattr_destroy(&s.attributes);
  }
  posix_spawn_file_actions_destroy(&s.actions);
  *pid = started;
  return err ? uv_translate_sys_error(err) : 0;
}
