// SPDX-License-Identifier: MIT
// What the parts for input and output share: failures, options, and making the
// parts when they are first asked for, for most goroutines need none of them.
#include "io/io.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "io/stream.h"
#include "lib/lib.h"

bool gr_io_again(lua_State *L, int status) {
  return status > 0 && status != GR_BUSY && gr_wait_again(L, (gr_status)status);
}

int gr_io_push_failure(lua_State *L, int status, const char *name) {
  if (status == GR_BUSY)
    return luaL_error(
        L,
        "bad call of '%s' (another goroutine is in it: one reader "
        "and one writer at a time)",
        name);
  if (status > 0)
    return gr_push_failure(L, (gr_status)status);
  lua_pushnil(L);
  lua_pushstring(L, gr_io_message(status));
  lua_pushstring(L, gr_io_name(status));
  return 3;
}

int gr_io_push_result(lua_State *L, int status, const char *name) {
  if (status)
    return gr_io_push_failure(L, status, name);
  lua_pushboolean(L, 1);
  return 1;
}

int gr_io_end_loop(lua_State *L, int status, const char *name) {
  if (status == GR_CLOSED || status == GR_EOF) {
    lua_pushnil(L);
    return 1;
  }
  gr_io_push_failure(L, status, name);
  lua_pushvalue(L, status < 0 ? -2 : -1);
  return lua_error(L);
}

// --- arguments ---

int gr_option_error(lua_State *L, int arg, const char *name, const char *key,
                    const char *why) {
  return gr_arg_error(L, arg, name,
                      lua_pushfstring(L, "option '%s': %s", key, why));
}

void gr_arg_options(lua_State *L, int index, int arg, const char *name,
                    const char *const *keys) {
  if (lua_isnoneornil(L, index))
    return;
  if (!lua_istable(L, index))
    gr_arg_type_error(L, index, arg, name, "table");
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    const char *const *known = keys;
    while (*known && strcmp(*known, key))
      known++;
    if (!*known)
      gr_arg_error(L, arg, name,
                   lua_pushfstring(L, "unknown option '%s'", key));
    lua_pop(L, 1);
  }
}

const char *gr_arg_text(lua_State *L, int index, int arg, const char *name) {
  size_t len;
  if (lua_type(L, index) != LUA_TSTRING)
    gr_arg_type_error(L, index, arg, name, "string");
  const char *text = lua_tolstring(L, index, &len);
  if (strlen(text) != len)
    gr_arg_error(L, arg, name, "a string with a zero byte in it");
  return text;
}

// --- waiting for another library's descriptor ---

// It is registered under a number of our own, so that its owner may close it
// meanwhile, and may wait for the same one elsewhere.
static int wait_for(int fd, gr_direction direction, uint64_t deadline_ns) {
  int own = dup(fd);
  if (own < 0)
    return gr_sys_error(own);
  gr_stream *s = gr_stream_new(own, GR_STREAM_PIPE);
  if (!s)
    return GR_NOMEM;
  int status = gr_descriptor_begin(&s->d, direction);
  gr_descriptor_try(&s->d, direction);
  if (!status && !gr_sys_poll(own, direction == GR_READ ? POLLIN : POLLOUT))
    status = gr_descriptor_wait(
        &s->d, direction, direction == GR_READ ? GR_WAIT_READ : GR_WAIT_WRITE,
        &deadline_ns);
  gr_descriptor_end(&s->d, direction);
  gr_stream_release(s);
  return status;
}

int gr_wait_fd(lua_State *L) {
  gr_arg_count(L, 3, "wait_fd");
  int fd = (int)gr_arg_integer(L, 1, 1, "wait_fd", 0, INT32_MAX);
  const char *mode = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(mode, "r") != 0 && strcmp(mode, "w") != 0)
    gr_arg_error(L, 2, "wait_fd", "\"r\" or \"w\" expected");
  gr_direction direction = *mode == 'r' ? GR_READ : GR_WRITE;
  uint64_t deadline_ns = gr_arg_deadline(L, 3, 3, "wait_fd");
  int status;
  gr_wait_point(L);
  do {
    gr_enter();
    status = wait_for(fd, direction, deadline_ns);
    gr_leave();
  } while (gr_io_again(L, status));
  return gr_io_push_result(L, status, "wait_fd");
}

// --- parts made when they are asked for ---

typedef struct part {
  const char *name;
  void (*push)(lua_State *L);
} part;

static void push_standard(lua_State *L, int fd) {
  gr_stream *s = gr_stream_standard(fd);
  if (!s)
    luaL_error(L, "not enough memory");
  gr_stream_push(L, s);
}

static void push_stdin(lua_State *L) {
  push_standard(L, 0);
}

static void push_stdout(lua_State *L) {
  push_standard(L, 1);
}

static void push_stderr(lua_State *L) {
  push_standard(L, 2);
}

static const part parts[] = {
    {"net", gr_lib_net},   {"fs", gr_lib_fs},       {"process", gr_lib_process},
    {"stdin", push_stdin}, {"stdout", push_stdout}, {"stderr", push_stderr},
};

enum { PARTS = sizeof parts / sizeof *parts };

int gr_lib_index(lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  for (int i = 0; i < PARTS; i++) {
    if (strcmp(parts[i].name, name) != 0)
      continue;
    parts[i].push(L);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
  }
  lua_pushnil(L);
  return 1;
}

void gr_lib_open_parts(lua_State *L) {
  for (int i = 0; i < PARTS; i++) {
    lua_getfield(L, -1, parts[i].name);
    lua_pop(L, 1);
  }
}

void gr_lib_io_init(void) {
  static const gr_handle_type *const types[] = {
      &gr_connection_type, &gr_stream_type,  &gr_listener_type,
      &gr_udp_type,        &gr_process_type, &gr_file_type,
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    gr_message_add_type(types[i]);
}
