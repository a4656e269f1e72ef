// SPDX-License-Identifier: MIT
#include "value/home.h"

void gr_home_init(gr_home *home, size_t limit) {
  if (limit == 0 || limit > SIZE_MAX / 2)
    limit = SIZE_MAX;
  *home = (gr_home){.limit = limit, .soft_limit = limit};
}

static size_t grace_of(const gr_home *home) {
  enum { GRACE_MIN = 16 * 1024 };
  size_t tenth = home->soft_limit / 10;
  return tenth > GRACE_MIN ? tenth : GRACE_MIN;
}

// Lua asks a second time after a full collection; if that is refused, there is
// an error. Its handlers get a grace, until much has been freed.
static bool refuses(gr_home *home, size_t used) {
  if (GR_LIKELY(used <= home->limit)) {
    home->refused = false;
    if (home->limit > home->soft_limit && used <= home->soft_limit / 2)
      home->limit = home->soft_limit;
    return false;
  }
  if (home->refused)
    home->limit = home->soft_limit + grace_of(home);
  home->refused = true;
  return true;
}

void *gr_home_allocate(void *arg, void *block, size_t old_bytes,
                       size_t new_bytes) {
  gr_home *home = arg;
  if (!block)
    old_bytes = 0; // it tells the kind of object
  size_t used = home->used - old_bytes + new_bytes;
  if (new_bytes > old_bytes && refuses(home, used))
    return NULL;
  void *resized = gr_arena_resize(&home->arena, block, old_bytes, new_bytes);
  if (resized || new_bytes == 0)
    home->used = used;
  return resized;
}

gr_home *gr_home_of(lua_State *L) {
  void *home;
  lua_getallocf(L, &home);
  return home;
}

void gr_home_lift_limit(gr_home *home) {
  home->limit = home->soft_limit = SIZE_MAX;
}
