// SPDX-License-Identifier: MIT
// What a family has set by go.configure for its goroutines: where errors go
// that nobody handles, and what is run first in each.
#include <stdlib.h>

#include "lib/lib.h"

// It stays with the family, which is never freed.
typedef struct settings {
  gr_lock lock;
  // Guarded by lock.
  gr_on_error what;
  gr_channel *channel; // holds a reference
  uint32_t view;       // of the handle that was given
  gr_block *init;
  atomic_bool has_init; // a hint to look at it
  _Atomic(const gr_preload *) preload;
} settings;

static atomic_bool process_ends; // nobody reads a channel any more

static settings *own_settings(void) {
  return gr_family_self()->settings;
}

static void set_on_error(settings *s, gr_on_error what, gr_channel *channel,
                         uint32_t view) {
  if (channel)
    gr_channel_retain(channel);
  gr_lock_lock(&s->lock);
  gr_channel *before = s->channel;
  s->what = what;
  s->channel = channel;
  s->view = view;
  gr_lock_unlock(&s->lock);
  if (before)
    gr_channel_release(before);
}

void gr_settings_set_on_error(gr_on_error what, const gr_handle *handle) {
  set_on_error(own_settings(), what, handle ? handle->object : NULL,
               handle ? handle->view : GR_VIEW_BOTH);
}

gr_channel *gr_settings_error_channel(gr_family *f) {
  settings *s = f->settings;
  if (gr_is_child() || atomic_load(&process_ends))
    return NULL;
  gr_lock_lock(&s->lock);
  gr_channel *channel = s->channel;
  if (channel)
    gr_channel_retain(channel);
  gr_lock_unlock(&s->lock);
  return channel;
}

bool gr_settings_errors_end_process(gr_family *f) {
  settings *s = f->settings;
  gr_lock_lock(&s->lock);
  bool ends = s->what == GR_REPORT_AND_EXIT;
  gr_lock_unlock(&s->lock);
  return ends && !atomic_load(&process_ends);
}

void gr_settings_push_on_error(lua_State *L) {
  gr_family *f = gr_family_self();
  gr_channel *channel = gr_settings_error_channel(f);
  if (channel)
    gr_handle_push(L, &gr_channel_type, channel,
                   ((settings *)f->settings)->view);
  else
    lua_pushstring(L, gr_settings_errors_end_process(f) ? "exit" : "report");
}

static void set_init(settings *s, gr_block *init) {
  gr_lock_lock(&s->lock);
  gr_block *before = s->init;
  s->init = init;
  atomic_store(&s->has_init, init != NULL);
  gr_lock_unlock(&s->lock);
  gr_block_release(before);
}

void gr_settings_set_init(gr_block *init) {
  set_init(own_settings(), init);
}

gr_block *gr_settings_get_init(void) {
  settings *s = own_settings();
  if (!atomic_load_explicit(&s->has_init, memory_order_relaxed))
    return NULL;
  gr_lock_lock(&s->lock);
  gr_block *init = s->init ? gr_block_retain(s->init) : NULL;
  gr_lock_unlock(&s->lock);
  return init;
}

void gr_settings_set_preload(const gr_preload *p) {
  atomic_store(&own_settings()->preload, p);
}

const gr_preload *gr_settings_get_preload(void) {
  return atomic_load_explicit(&own_settings()->preload, memory_order_acquire);
}

void gr_settings_clear(gr_family *f) {
  set_on_error(f->settings, GR_REPORT, NULL, GR_VIEW_BOTH);
  set_init(f->settings, NULL);
  atomic_store(&((settings *)f->settings)->preload, NULL);
}

bool gr_settings_init(gr_family *f) {
  settings *s = f->settings;
  if (s) { // set by one that was late to end
    gr_settings_clear(f);
    return true;
  }
  if (!(s = calloc(1, sizeof *s)))
    return false;
  gr_lock_init(&s->lock, GR_RANK_LEAF);
  f->settings = s;
  return true;
}

void gr_settings_at_end(void) {
  atomic_store(&process_ends, true);
}
