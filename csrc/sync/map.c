// SPDX-License-Identifier: MIT
// The operations. Nothing is dropped under a lock: that may free another object
// of this layer.
#include "sync/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "sched/sched.h"
#include "sync/map_table.h"

static void fini(void *object) {
  gr_map *m = object;
  for (unsigned i = 0; i < GR_MAP_SHARDS; i++)
    gr_map_table_fini(&m->shards[i]);
}

gr_map *gr_map_new(void) {
  gr_map *m = gr_object_new(sizeof *m, fini);
  if (!m)
    return NULL;
  gr_random random;
  gr_random_init(&random, gr_now_ns() ^ (uintptr_t)m);
  m->seed = gr_random_next(&random);
  for (unsigned i = 0; i < GR_MAP_SHARDS; i++)
    gr_lock_init(&m->shards[i].lock, GR_RANK_SYNC);
  return m;
}

static gr_map_shard *shard_of(gr_map *m, uint64_t hash) {
  return &m->shards[hash % GR_MAP_SHARDS];
}

// --- having an entry, under the lock of its shard ---

// One operation: a shard, locked, and the key's entry in it, if there is one.
typedef struct opened {
  gr_map_shard *shard;
  gr_map_entry *entry;
  bool is_mine; // it was passed on to the caller
} opened;

static void set_user(gr_map_entry *entry, uint64_t id) {
  atomic_store_explicit(&entry->user, id, memory_order_relaxed);
}

// Lets go of the lock, after it has taken the entry (may be NULL) out of the
// table if that is of no use; and frees it then.
static void unlock(gr_map_shard *shard, gr_map_entry *entry) {
  bool useless = entry && !gr_map_entry_user(entry) && !entry->waiter_count &&
                 entry->value.kind == GR_MESSAGE_NIL;
  if (useless)
    gr_map_table_remove(shard, entry);
  gr_lock_unlock(&shard->lock);
  if (useless)
    gr_map_entry_free(entry);
}

// Waits to be given the entry; the lock is held, and again if that is so.
static gr_status wait_for(opened *o) {
  gr_map_entry *entry = o->entry;
  gr_waiter self;
  gr_waiting waiting = {.lock = &o->shard->lock,
                        .queue = &entry->waiters,
                        .kind = GR_WAIT_MAP,
                        .object = entry,
                        .deadline_ns = GR_NEVER};
  entry->waiter_count++;
  o->is_mine = gr_waiter_park(&self, &waiting);
  if (o->is_mine)
    gr_lock_lock(&o->shard->lock);
  entry->waiter_count--;
  if (o->is_mine)
    return GR_OK;
  unlock(o->shard, entry);
  return gr_wait_status(gr_self());
}

// Opens what has to do with the key, as soon as nobody else uses it. If not
// GR_OK, nothing is locked.
static gr_status open_key(gr_map *m, const gr_map_key *key, opened *o) {
  *o = (opened){.shard = shard_of(m, key->hash)};
  gr_lock_lock(&o->shard->lock);
  o->entry = gr_map_table_find(o->shard, key);
  uint64_t user = o->entry ? gr_map_entry_user(o->entry) : 0;
  if (!user)
    return GR_OK;
  if (user != gr_self()->id)
    return wait_for(o);
  gr_lock_unlock(&o->shard->lock);
  return GR_RECURSIVE;
}

// Passes the entry on to who has waited longest, if the caller had it.
static void close_key(opened *o) {
  gr_waiter *next = NULL;
  if (o->is_mine) {
    next = gr_waiter_pop(&o->entry->waiters);
    set_user(o->entry, next ? next->g->id : 0);
  }
  unlock(o->shard, o->entry);
  if (next)
    gr_ready(next->g);
}

// Exchanges the value of an entry; *message becomes the old one.
static void exchange(opened *o, gr_message *message) {
  gr_message old = o->entry->value;
  o->shard->values += message->kind != GR_MESSAGE_NIL;
  o->shard->values -= old.kind != GR_MESSAGE_NIL;
  o->entry->value = *message;
  *message = old;
}

static bool need_entry(gr_map *m, const gr_map_key *key, opened *o) {
  if (!o->entry)
    o->entry = gr_map_table_add(m, o->shard, key);
  return o->entry != NULL;
}

static gr_status put(gr_map *m, const gr_map_key *key, opened *o,
                     gr_message *message) {
  if (!o->entry && message->kind == GR_MESSAGE_NIL)
    return GR_OK;
  if (!need_entry(m, key, o))
    return GR_NOMEM;
  exchange(o, message);
  return GR_OK;
}

// --- operations ---

gr_status gr_map_get(gr_map *m, const gr_map_key *key, gr_message *out) {
  opened o;
  gr_status status = open_key(m, key, &o);
  if (status != GR_OK)
    return status;
  *out = (gr_message){.kind = GR_MESSAGE_NIL};
  if (o.entry)
    *out = gr_message_copy(&o.entry->value);
  close_key(&o);
  return GR_OK;
}

gr_status gr_map_set(gr_map *m, const gr_map_key *key, gr_message *message) {
  opened o;
  gr_status status = open_key(m, key, &o);
  if (status != GR_OK)
    return status;
  status = put(m, key, &o, message);
  close_key(&o);
  return status;
}

static bool is_equal(const gr_map_entry *entry, const gr_map_key *old) {
  static const gr_message none = {.kind = GR_MESSAGE_NIL};
  const gr_message *value = entry ? &entry->value : &none;
  return old->bytes ? gr_message_is_string(value, old->bytes, old->len)
                    : gr_message_equal(value, &old->scalar);
}

gr_status gr_map_swap(gr_map *m, const gr_map_key *key, const gr_map_key *old,
                      gr_message *message, bool *done) {
  opened o;
  gr_status status = open_key(m, key, &o);
  if (status != GR_OK)
    return status;
  *done = is_equal(o.entry, old);
  if (*done)
    status = put(m, key, &o, message);
  close_key(&o);
  return status;
}

gr_status gr_map_begin(gr_map *m, const gr_map_key *key, gr_map_entry **entry,
                       gr_message *old) {
  opened o;
  gr_status status = open_key(m, key, &o);
  if (status != GR_OK)
    return status;
  if (!need_entry(m, key, &o)) {
    gr_lock_unlock(&o.shard->lock);
    return GR_NOMEM;
  }
  set_user(o.entry, gr_self()->id);
  *old = gr_message_copy(&o.entry->value);
  *entry = o.entry;
  gr_lock_unlock(&o.shard->lock);
  return GR_OK;
}

static void open_mine(gr_map_entry *entry, opened *o) {
  *o = (opened){shard_of(entry->map, entry->hash), entry, true};
  gr_lock_lock(&o->shard->lock);
}

void gr_map_commit(gr_map_entry *entry, gr_message *message) {
  opened o;
  open_mine(entry, &o);
  exchange(&o, message);
  close_key(&o);
}

void gr_map_abort(gr_map_entry *entry) {
  opened o;
  open_mine(entry, &o);
  close_key(&o);
}

// --- all of them ---

uint64_t gr_map_count(gr_map *m) {
  uint64_t count = 0;
  for (unsigned i = 0; i < GR_MAP_SHARDS; i++) {
    gr_lock_lock(&m->shards[i].lock);
    count += m->shards[i].values;
    gr_lock_unlock(&m->shards[i].lock);
  }
  return count;
}

static void copy_items(const gr_map_shard *shard, bool with_values,
                       gr_map_item *items) {
  static const gr_message none = {.kind = GR_MESSAGE_NIL};
  for (uint32_t i = 0; i < shard->buckets; i++)
    for (gr_map_entry *e = shard->table[i]; e; e = e->next) {
      if (e->value.kind == GR_MESSAGE_NIL)
        continue;
      gr_refs_retain(&e->name->refs);
      items->name = e->name;
      items->value = with_values ? gr_message_copy(&e->value) : none;
      items++;
    }
}

bool gr_map_items(gr_map *m, unsigned shard, bool with_values,
                  gr_map_item **items, uint32_t *count) {
  gr_map_shard *s = &m->shards[shard];
  *items = NULL;
  gr_lock_lock(&s->lock);
  *count = s->values;
  if (*count > 0)
    *items = malloc(*count * sizeof **items);
  if (*items)
    copy_items(s, with_values, *items);
  gr_lock_unlock(&s->lock);
  return *count == 0 || *items;
}

void gr_map_items_free(gr_map_item *items, uint32_t from, uint32_t count) {
  for (uint32_t i = from; i < count; i++) {
    gr_map_name_release(items[i].name);
    gr_message_drop(&items[i].value);
  }
  free(items);
}
