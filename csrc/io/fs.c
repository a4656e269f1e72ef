// SPDX-License-Identifier: MIT
#include "io/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

// --- what files are ---

static const char *type_of_mode(uint64_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG:
    return "file";
  case S_IFDIR:
    return "directory";
  case S_IFLNK:
    return "link";
  case S_IFIFO:
    return "fifo";
  case S_IFSOCK:
    return "socket";
  case S_IFCHR:
    return "char";
  case S_IFBLK:
    return "block";
  default:
    return "unknown";
  }
}

static const char *type_of_entry(uv_dirent_type_t type) {
  switch (type) {
  case UV_DIRENT_FILE:
    return "file";
  case UV_DIRENT_DIR:
    return "directory";
  case UV_DIRENT_LINK:
    return "link";
  case UV_DIRENT_FIFO:
    return "fifo";
  case UV_DIRENT_SOCKET:
    return "socket";
  case UV_DIRENT_CHAR:
    return "char";
  case UV_DIRENT_BLOCK:
    return "block";
  default:
    return "unknown";
  }
}

static double seconds_of(uv_timespec_t t) {
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int gr_fs_stat(const char *path, bool follows, gr_fs_info *out) {
  uv_fs_t req;
  gr_block_begin();
  int err = follows ? uv_fs_stat(NULL, &req, path, NULL)
                    : uv_fs_lstat(NULL, &req, path, NULL);
  gr_block_end();
  const uv_stat_t *s = &req.statbuf;
  if (!err)
    *out = (gr_fs_info){.type = type_of_mode(s->st_mode),
                        .size = s->st_size,
                        .mode = s->st_mode & 07777,
                        .uid = s->st_uid,
                        .gid = s->st_gid,
                        .ino = s->st_ino,
                        .nlink = s->st_nlink,
                        .mtime = seconds_of(s->st_mtim),
                        .atime = seconds_of(s->st_atim),
                        .ctime = seconds_of(s->st_ctim)};
  uv_fs_req_cleanup(&req);
  return err;
}

// --- changing the tree ---

int gr_fs_do(gr_fs_action action, const char *path, const char *to) {
  uv_fs_t req;
  int err = 0;
  gr_block_begin();
  switch (action) {
  case GR_FS_UNLINK:
    err = uv_fs_unlink(NULL, &req, path, NULL);
    break;
  case GR_FS_RMDIR:
    err = uv_fs_rmdir(NULL, &req, path, NULL);
    break;
  case GR_FS_RENAME:
    err = uv_fs_rename(NULL, &req, path, to, NULL);
    break;
  case GR_FS_SYMLINK:
    err = uv_fs_symlink(NULL, &req, path, to, 0, NULL);
    break;
  case GR_FS_COPYFILE:
    err = uv_fs_copyfile(NULL, &req, path, to, 0, NULL);
    break;
  }
  gr_block_end();
  uv_fs_req_cleanup(&req);
  return err;
}

int gr_fs_mkdir(const char *path, int mode) {
  uv_fs_t req;
  gr_block_begin();
  int err = uv_fs_mkdir(NULL, &req, path, mode, NULL);
  gr_block_end();
  uv_fs_req_cleanup(&req);
  return err;
}

int gr_fs_readlink(const char *path, char **text) {
  uv_fs_t req;
  gr_block_begin();
  int err = uv_fs_readlink(NULL, &req, path, NULL);
  gr_block_end();
  *text = err ? NULL : strdup(req.ptr);
  uv_fs_req_cleanup(&req);
  return !err && !*text ? UV_ENOMEM : err;
}

int gr_fs_mkdtemp(const char *path, char **text) {
  uv_fs_t req;
  gr_block_begin();
  int err = uv_fs_mkdtemp(NULL, &req, path, NULL);
  gr_block_end();
  *text = err ? NULL : strdup(req.path);
  uv_fs_req_cleanup(&req);
  return !err && !*text ? UV_ENOMEM : err;
}

// --- listing ---

static int copy_entries(uv_fs_t *req, size_t count, gr_fs_entries *out) {
  uv_dirent_t entry;
  out->list = calloc(count ? count : 1, sizeof *out->list);
  if (!out->list)
    return UV_ENOMEM;
  while (out->count < count && uv_fs_scandir_next(req, &entry) == 0) {
    gr_fs_entry *copy = &out->list[out->count];
    copy->type = type_of_entry(entry.type);
    copy->name = strdup(entry.name);
    if (!copy->name)
      return UV_ENOMEM;
    out->count++;
  }
  return 0;
}

int gr_fs_readdir(const char *path, gr_fs_entries *out) {
  uv_fs_t req;
  *out = (gr_fs_entries){0};
  gr_block_begin();
  int count = uv_fs_scandir(NULL, &req, path, 0, NULL);
  gr_block_end();
  int err = count < 0 ? count : copy_entries(&req, (size_t)count, out);
  uv_fs_req_cleanup(&req);
  return err;
}

void gr_fs_free_entries(gr_fs_entries *entries) {
  for (size_t i = 0; i < entries->count; i++)
    free(entries->list[i].name);
  free(entries->list);
}

// --- whole files ---

static int open_file(const char *path, int flags) {
  uv_fs_t req;
  int fd = uv_fs_open(NULL, &req, path, flags, 0666, NULL);
  uv_fs_req_cleanup(&req);
  return fd;
}

// What its size says is a hint: some files tell none.
static int read_whole(int fd, char **bytes, size_t *len) {
  struct stat info;
  size_t room = fstat(fd, &info) == 0 && info.st_size > 0
                    ? (size_t)info.st_size + 1
                    : 4096;
  *len = 0;
  *bytes = malloc(room);
  for (;;) {
    if (!*bytes)
      return UV_ENOMEM;
    ssize_t got = gr_sys_read(fd, *bytes + *len, room - *len);
    if (got <= 0)
      return (int)got;
    *len += (size_t)got;
    if (*len < room)
      continue;
    char *more = room > SIZE_MAX / 2 ? NULL : realloc(*bytes, room *= 2);
    if (!more)
      free(*bytes);
    *bytes = more;
  }
}

int gr_fs_read_file(const char *path, char **bytes, size_t *len) {
  *bytes = NULL;
  gr_block_begin();
  int fd = open_file(path, O_RDONLY), err = fd < 0 ? fd : 0;
  if (fd >= 0) {
    err = read_whole(fd, bytes, len);
    close(fd);
  }
  gr_block_end();
  if (err) {
    free(*bytes);
    *bytes = NULL;
  }
  return err;
}

static int write_whole(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t put = gr_sys_write(fd, bytes, len);
    if (put < 0)
      return (int)put;
    bytes += put;
    len -= (size_t)put;
  }
  return 0;
}

int gr_fs_write_file(const char *path, const char *bytes, size_t len) {
  gr_block_begin();
  int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  int err = fd < 0 ? fd : write_whole(fd, bytes, len);
  if (fd >= 0) {
    int closed = gr_sys_error(close(fd));
    err = err ? err : closed;
  }
  gr_block_end();
  return err;
}

// --- open files: streams that are used by one goroutine at a time ---

int gr_fs_open(const char *path, int flags, gr_stream **out) {
  gr_block_begin();
  int fd = open_file(path, flags);
  gr_block_end();
  if (fd < 0)
    return fd;
  *out = gr_stream_new(fd, GR_STREAM_FILE);
  return *out ? 0 : GR_NOMEM;
}

// The system's place in the file is that of what has been read ahead: makes it
// the reader's.
static int forget_ahead(gr_stream *s) {
  off_t ahead = (off_t)(s->end - s->start);
  s->start = s->at = s->end = 0;
  return ahead == 0
             ? 0
             : gr_sys_error(lseek(s->d.fd, -ahead, SEEK_CUR) < 0 ? -1 : 0);
}

// Runs what may block the thread while the file is ours.
typedef struct use {
  gr_stream *s;
  int (*run)(struct use *use);
  struct iovec *parts;
  size_t count;
  int whence;
  int64_t offset;
} use;

static int use_file(use *u) {
  int status = gr_stream_read_begin(u->s);
  if (status)
    return status;
  gr_block_begin();
  status = u->run(u);
  gr_block_end();
  gr_enter();
  gr_stream_read_end(u->s, false);
  return status;
}

static int write_parts(use *u) {
  int err = forget_ahead(u->s);
  for (size_t i = 0; !err && i < u->count; i++) {
    struct iovec *part = &u->parts[i];
    err = write_whole(u->s->d.fd, part->iov_base, part->iov_len);
  }
  return err;
}

static int seek(use *u) {
  int err = forget_ahead(u->s);
  if (err)
    return err;
  u->offset = lseek(u->s->d.fd, (off_t)u->offset, u->whence);
  return u->offset < 0 ? gr_sys_error(-1) : 0;
}

static int sync_file(use *u) {
  return gr_sys_error(fsync(u->s->d.fd));
}

int gr_file_write(gr_stream *s, struct iovec *parts, size_t count) {
  use u = {.s = s, .run = write_parts, .parts = parts, .count = count};
  return use_file(&u);
}

int gr_file_seek(gr_stream *s, int whence, int64_t offset, int64_t *at) {
  use u = {.s = s, .run = seek, .whence = whence, .offset = offset};
  int status = use_file(&u);
  *at = u.offset;
  return status;
}

int gr_file_sync(gr_stream *s) {
  use u = {.s = s, .run = sync_file};
  return use_file(&u);
}
