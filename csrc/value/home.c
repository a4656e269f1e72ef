// SPDX-License-Identifier: MIT
#include "value/home.h"

#include "value/layout.h"

void gr_home_init(gr_home *home, size_t limit) {
  if (limit == 0 || limit > SIZE_MAX / 2)
    limit = SIZE_MAX;
  *home = (gr_home){.limit = limit, .soft_limit = limit, .easy_limit = limit};
}

static size_t grace_of(const gr_home *home) {
  enum { GRACE_MIN = 16 * 1024 };
  size_t tenth = home->soft_limit / 10;
  return tenth > GRACE_MIN ? tenth : GRACE_MIN;
}

// Lua asks a second time after a full collection; if that is refused, there is
// an error. Its handlers get a grace, until much has been freed.
static bool refuses(gr_home *home, size_t used) {
  bool refuses = used > home->limit;
  if (refuses && home->refused)
    home->limit = home->soft_limit + grace_of(home);
  else if (home->limit > home->soft_limit && used <= home->soft_limit / 2)
    home->limit = home->soft_limit;
  home->refused = refuses;
  bool is_easy = !refuses && home->limit == home->soft_limit;
  home->easy_limit = is_easy ? home->limit : 0;
  return refuses;
}

static GR_NOINLINE void *resize(gr_home *home, void *block, size_t old_bytes,
                                size_t new_bytes) {
  size_t used = home->used - old_bytes + new_bytes;
  if (new_bytes > old_bytes && used > home->easy_limit && refuses(home, used))
    return NULL;
  void *resized = gr_arena_resize(&home->arena, block, old_bytes, new_bytes);
  if (resized || new_bytes == 0)
    home->used = used;
  return resized;
}

void *gr_home_allocate(void *arg, void *block, size_t old_bytes,
                       size_t new_bytes) {
  gr_home *home = arg;
  if (block) {
    if (new_bytes > 0 || !gr_arena_is_small(old_bytes))
      return resize(home, block, old_bytes, new_bytes);
    gr_arena_put_small(&home->arena, block, old_bytes);
    home->used -= old_bytes;
    return NULL;
  }
  // Its old size tells the kind of object.
  size_t used = home->used + new_bytes;
  if (GR_LIKELY(gr_arena_is_small(new_bytes) && used <= home->easy_limit)) {
    void *again = gr_arena_get_again(&home->arena, new_bytes);
    if (GR_LIKELY(again != NULL)) {
      home->used = used;
      return again;
    }
  }
  return resize(home, NULL, 0, new_bytes);
}

// Lua may enlarge its table of short strings before, but goes without that if
// it has to; it is no small block.
bool gr_home_has_string(lua_State *L, size_t len) {
  const gr_home *home = gr_home_find(L);
  return home && gr_layout_is_known && home->easy_limit == SIZE_MAX &&
         len < GR_ARENA_SMALL_MAX &&
         gr_arena_has(&home->arena, offsetof(gr_raw_string, bytes) + len + 1);
}

gr_home *gr_home_of(lua_State *L) {
  void *home;
  lua_getallocf(L, &home);
  return home;
}

void gr_home_lift_limit(gr_home *home) {
  home->limit = home->soft_limit = home->easy_limit = SIZE_MAX;
}
