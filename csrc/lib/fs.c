// SPDX-License-Identifier: MIT
// go.fs: files and directories. Open files are in file.c.
#include "io/fs.h"

#include <stdlib.h>
#include <string.h>

#include "io/watch.h"
#include "lib/lib.h"

enum { WATCH_ROOM = 64 };

// All of this waits for the disk.
static const char *check_path(lua_State *L, int index, const char *name) {
  const char *path = gr_arg_text(L, index, index, name);
  gr_wait_point(L);
  return path;
}

// nil, "path: message", code
static int push_failure(lua_State *L, int err, const char *path) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, gr_io_message(err));
  lua_pushstring(L, gr_io_name(err));
  return 3;
}

static int push_outcome(lua_State *L, int err, const char *path) {
  if (err)
    return push_failure(L, err, path);
  lua_pushboolean(L, 1);
  return 1;
}

int gr_fs_push_failure(lua_State *L, int err, const char *path) {
  return push_failure(L, err, path);
}

// --- values that are to be freed, whatever happens ---

typedef struct text {
  char *bytes;
  size_t len;
} text;

static int push_text_protected(lua_State *L) {
  text *t = lua_touserdata(L, 1);
  lua_pushlstring(L, t->bytes, t->len);
  return 1;
}

static int push_entries_protected(lua_State *L) {
  gr_fs_entries *entries = lua_touserdata(L, 1);
  lua_createtable(L, (int)entries->count, 0);
  for (size_t i = 0; i < entries->count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, entries->list[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, entries->list[i].type);
    lua_setfield(L, -2, "type");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

// True if it raised: the error is on top.
static int push_protected(lua_State *L, lua_CFunction push, void *arg) {
  lua_pushcfunction(L, push);
  lua_pushlightuserdata(L, arg);
  return lua_pcall(L, 1, 1, 0);
}

static int push_and_free(lua_State *L, text *t) {
  int failed = push_protected(L, push_text_protected, t);
  free(t->bytes);
  return failed ? lua_error(L) : 1;
}

// --- whole files ---

static int fs_read_file(lua_State *L) {
  text t;
  gr_arg_count(L, 1, "read_file");
  const char *path = check_path(L, 1, "read_file");
  int err = gr_fs_read_file(path, &t.bytes, &t.len);
  return err ? push_failure(L, err, path) : push_and_free(L, &t);
}

static int fs_write_file(lua_State *L) {
  size_t len;
  gr_arg_count(L, 2, "write_file");
  const char *path = check_path(L, 1, "write_file");
  if (lua_type(L, 2) != LUA_TSTRING)
    gr_arg_type_error(L, 2, 2, "write_file", "string");
  const char *bytes = lua_tolstring(L, 2, &len);
  return push_outcome(L, gr_fs_write_file(path, bytes, len), path);
}

// --- what there is ---

static void put_integer(lua_State *L, const char *key, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, key);
}

static void put_number(lua_State *L, const char *key, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

static int stat_path(lua_State *L, const char *name, bool follows) {
  gr_fs_info info;
  gr_arg_count(L, 1, name);
  const char *path = check_path(L, 1, name);
  int err = gr_fs_stat(path, follows, &info);
  if (err)
    return push_failure(L, err, path);
  lua_createtable(L, 0, 10);
  lua_pushstring(L, info.type);
  lua_setfield(L, -2, "type");
  put_integer(L, "size", info.size);
  put_integer(L, "mode", info.mode);
  put_integer(L, "uid", info.uid);
  put_integer(L, "gid", info.gid);
  put_integer(L, "ino", info.ino);
  put_integer(L, "nlink", info.nlink);
  put_number(L, "mtime", info.mtime);
  put_number(L, "atime", info.atime);
  put_number(L, "ctime", info.ctime);
  return 1;
}

static int fs_stat(lua_State *L) {
  return stat_path(L, "stat", true);
}

static int fs_lstat(lua_State *L) {
  return stat_path(L, "lstat", false);
}

static int fs_readdir(lua_State *L) {
  gr_fs_entries entries;
  gr_arg_count(L, 1, "readdir");
  const char *path = check_path(L, 1, "readdir");
  int err = gr_fs_readdir(path, &entries);
  int failed = err ? 0 : push_protected(L, push_entries_protected, &entries);
  gr_fs_free_entries(&entries);
  if (failed)
    return lua_error(L);
  return err ? push_failure(L, err, path) : 1;
}

static int fs_readlink(lua_State *L) {
  text t;
  gr_arg_count(L, 1, "readlink");
  const char *path = check_path(L, 1, "readlink");
  int err = gr_fs_readlink(path, &t.bytes);
  if (err)
    return push_failure(L, err, path);
  t.len = strlen(t.bytes);
  return push_and_free(L, &t);
}

// --- changing it ---

static int fs_mkdir(lua_State *L) {
  int mode = 0777;
  gr_arg_count(L, 2, "mkdir");
  const char *path = check_path(L, 1, "mkdir");
  if (!lua_isnoneornil(L, 2))
    mode = (int)gr_arg_integer(L, 2, 2, "mkdir", 0, 07777);
  return push_outcome(L, gr_fs_mkdir(path, mode), path);
}

static int fs_mkdtemp(lua_State *L) {
  text t;
  gr_arg_count(L, 1, "mkdtemp");
  const char *path = check_path(L, 1, "mkdtemp");
  size_t len = strlen(path);
  if (len < 6 || strcmp(path + len - 6, "XXXXXX") != 0)
    gr_arg_error(L, 1, "mkdtemp", "a name that ends in XXXXXX expected");
  int err = gr_fs_mkdtemp(path, &t.bytes);
  if (err)
    return push_failure(L, err, path);
  t.len = strlen(t.bytes);
  return push_and_free(L, &t);
}

static int act(lua_State *L, const char *name, gr_fs_action action, int paths) {
  gr_arg_count(L, paths, name);
  const char *path = check_path(L, 1, name);
  const char *to = paths == 2 ? check_path(L, 2, name) : NULL;
  int err = gr_fs_do(action, path, to);
  return push_outcome(L, err, action == GR_FS_SYMLINK ? to : path);
}

static int fs_rename(lua_State *L) {
  return act(L, "rename", GR_FS_RENAME, 2);
}

static int fs_unlink(lua_State *L) {
  return act(L, "unlink", GR_FS_UNLINK, 1);
}

static int fs_rmdir(lua_State *L) {
  return act(L, "rmdir", GR_FS_RMDIR, 1);
}

static int fs_symlink(lua_State *L) {
  return act(L, "symlink", GR_FS_SYMLINK, 2);
}

static int fs_copyfile(lua_State *L) {
  return act(L, "copyfile", GR_FS_COPYFILE, 2);
}

// --- changes by others ---

static int fs_watch(lua_State *L) {
  gr_arg_count(L, 1, "watch");
  const char *path = check_path(L, 1, "watch");
  gr_channel *c = gr_channel_new(WATCH_ROOM);
  if (!c)
    return luaL_error(L, "not enough memory");
  gr_enter();
  int status = gr_watch_path(c, path);
  gr_leave();
  if (status == 0) {
    gr_handle_push(L, &gr_channel_type, c, GR_VIEW_BOTH);
    return 1;
  }
  gr_channel_release(c);
  gr_io_again(L, status);
  return push_failure(L, status, path);
}

static const luaL_Reg functions[] = {
    {"open", gr_fs_open_file},     {"read_file", fs_read_file},
    {"write_file", fs_write_file}, {"stat", fs_stat},
    {"lstat", fs_lstat},           {"readdir", fs_readdir},
    {"mkdir", fs_mkdir},           {"mkdtemp", fs_mkdtemp},
    {"rename", fs_rename},         {"unlink", fs_unlink},
    {"rmdir", fs_rmdir},           {"symlink", fs_symlink},
    {"readlink", fs_readlink},     {"copyfile", fs_copyfile},
    {"watch", fs_watch},           {NULL, NULL},
};

void gr_lib_fs(lua_State *L) {
  luaL_newlib(L, functions);
}
