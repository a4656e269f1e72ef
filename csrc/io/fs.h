// SPDX-License-Identifier: MIT
// The file system. The calls are made on the goroutine's own thread and
// announced as blocking, so that the processor goes to others as soon as these
// want it: files that are in memory take a microsecond, a tenth of what a trip
// through a pool of threads takes, and the end of the process waits for none.
#ifndef GR_FS_H
#define GR_FS_H

#include "io/stream.h"

// All give 0 or libuv's error code, but where it is said otherwise. Running
// goroutine, outside the runtime.

typedef struct gr_fs_info {
  const char *type; // "file", "directory", "link", ...
  uint64_t size, mode, uid, gid, ino, nlink;
  double mtime, atime, ctime; // seconds
} gr_fs_info;

int gr_fs_stat(const char *path, bool follows, gr_fs_info *out);

typedef enum gr_fs_action {
  GR_FS_UNLINK,
  GR_FS_RMDIR,
  GR_FS_RENAME,
  GR_FS_SYMLINK, // to: the new link
  GR_FS_COPYFILE,
} gr_fs_action;

int gr_fs_do(gr_fs_action action, const char *path, const char *to);
int gr_fs_mkdir(const char *path, int mode);

// The text is to be freed.
int gr_fs_readlink(const char *path, char **text);
int gr_fs_mkdtemp(const char *path, char **text);

typedef struct gr_fs_entry {
  char *name;
  const char *type;
} gr_fs_entry;

typedef struct gr_fs_entries {
  gr_fs_entry *list;
  size_t count;
} gr_fs_entries;

// To be freed by gr_fs_free_entries, whatever it gives.
int gr_fs_readdir(const char *path, gr_fs_entries *out);
void gr_fs_free_entries(gr_fs_entries *entries);

// The whole of a file; the bytes are to be freed.
int gr_fs_read_file(const char *path, char **bytes, size_t *len);
int gr_fs_write_file(const char *path, const char *bytes, size_t len);

// Opens a file as a stream: 0, an error code, or GR_NOMEM.
int gr_fs_open(const char *path, int flags, gr_stream **out);

// Of such a stream, in the runtime: writes all, at the place up to which it has
// been read; moves to a place, which *at then is; has the disk take all. Each
// gives a result of this layer.
int gr_file_write(gr_stream *s, struct iovec *parts, size_t count);
int gr_file_seek(gr_stream *s, int whence, int64_t offset, int64_t *at);
int gr_file_sync(gr_stream *s);

#endif
