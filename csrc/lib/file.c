// SPDX-License-Identifier: MIT
// Files opened by go.fs.open: they read as streams do.
#include <fcntl.h>
#include <string.h>

#include "io/fs.h"
#include "lib/lib.h"

static void file_retain(void *object) {
  gr_stream_retain(object);
}

static void file_release(void *object) {
  gr_stream_release(object);
}

static void open_type(lua_State *L);

const gr_handle_type gr_file_type = {"goroutines.file", file_retain,
                                     file_release, open_type};

static gr_stream *check_self(lua_State *L, const char *name) {
  return gr_arg_self(L, &gr_file_type, name);
}

// Those of io.open; -1 for what is none.
static int flags_of(const char *mode) {
  static const struct {
    const char *mode;
    int flags;
  } modes[] = {
      {"r", O_RDONLY},
      {"r+", O_RDWR},
      {"w", O_WRONLY | O_CREAT | O_TRUNC},
      {"w+", O_RDWR | O_CREAT | O_TRUNC},
      {"a", O_WRONLY | O_CREAT | O_APPEND},
      {"a+", O_RDWR | O_CREAT | O_APPEND},
  };
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    size_t len = strlen(modes[i].mode);
    if (!strncmp(mode, modes[i].mode, len) &&
        (!mode[len] || !strcmp(mode + len, "b")))
      return modes[i].flags;
  }
  return -1;
}

int gr_fs_open_file(lua_State *L) {
  gr_arg_count(L, 2, "open");
  const char *path = gr_arg_text(L, 1, 1, "open");
  int flags = O_RDONLY;
  if (!lua_isnoneornil(L, 2))
    flags = lua_type(L, 2) == LUA_TSTRING ? flags_of(lua_tostring(L, 2)) : -1;
  if (flags < 0)
    gr_arg_error(L, 2, "open", "a mode of io.open expected");
  gr_stream *s = NULL;
  gr_wait_point(L);
  int status = gr_fs_open(path, flags, &s);
  gr_io_again(L, status);
  if (status)
    return gr_fs_push_failure(L, status, path);
  gr_handle_push(L, &gr_file_type, s, 0);
  return 1;
}

static int file_write(lua_State *L) {
  gr_stream *s = check_self(L, "write");
  struct iovec on_stack[GR_PARTS_ON_STACK];
  size_t count = (size_t)lua_gettop(L) - 1;
  struct iovec *parts = gr_collect_parts(L, on_stack);
  gr_wait_point(L);
  gr_enter();
  int status = gr_file_write(s, parts, count);
  gr_leave();
  if (status)
    return gr_io_push_failure(L, status, "write");
  lua_settop(L, 1);
  return 1;
}

static int file_seek(lua_State *L) {
  static const char *const names[] = {"set", "cur", "end"};
  static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  gr_stream *s = check_self(L, "seek");
  gr_arg_count(L, 3, "seek");
  int which = 1;
  if (!lua_isnoneornil(L, 2)) {
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (which = 0; which < 3 && strcmp(names[which], name) != 0; which++)
      ;
    if (which == 3)
      gr_arg_error(L, 1, "seek", "\"set\", \"cur\" or \"end\" expected");
  }
  int64_t offset = 0;
  if (!lua_isnoneornil(L, 3))
    offset = gr_arg_integer(L, 3, 2, "seek", INT64_MIN, INT64_MAX);
  gr_wait_point(L);
  gr_enter();
  int status = gr_file_seek(s, whences[which], offset, &offset);
  gr_leave();
  if (status)
    return gr_io_push_failure(L, status, "seek");
  lua_pushinteger(L, offset);
  return 1;
}

static int file_sync(lua_State *L) {
  gr_stream *s = check_self(L, "sync");
  gr_arg_count(L, 1, "sync");
  gr_wait_point(L);
  gr_enter();
  int status = gr_file_sync(s);
  gr_leave();
  return gr_io_push_result(L, status, "sync");
}

static int file_tostring(lua_State *L) {
  gr_stream *s = check_self(L, "tostring");
  lua_pushfstring(L, "file: %p%s", (void *)s,
                  gr_descriptor_is_closed(&s->d) ? " (closed)" : "");
  return 1;
}

static const luaL_Reg methods[] = {{"write", file_write},
                                   {"seek", file_seek},
                                   {"sync", file_sync},
                                   {NULL, NULL}};

static void open_type(lua_State *L) {
  gr_handle_register(L, &gr_file_type);
  lua_pushcfunction(L, file_tostring);
  lua_setfield(L, -2, "__tostring");
  luaL_newlib(L, methods);
  gr_stream_add_reading(L);
  lua_getfield(L, -1, "close");
  lua_setfield(L, -3, "__close");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
