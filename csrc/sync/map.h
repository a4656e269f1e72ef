// SPDX-License-Identifier: MIT
// Maps from keys to messages, shared by goroutines. Entries are spread over
// shards, each with a lock of its own, under which every operation is done but
// one: an update, for which a goroutine has the entry to itself while it
// computes the new value. Others who want that entry meanwhile queue, and are
// given it one after the other, each for its own operation.
//
// Invariants, under a shard's lock:
//   an entry is in the table while it has a value, a user or waiters
//   somebody is queued at it only while it has a user
#ifndef GR_MAP_H
#define GR_MAP_H

#include "base/lock.h"
#include "sync/object.h"
#include "sync/waiter.h"

// What an operation is about: a string, or a message that owns nothing: a
// boolean, a number (no float with an integer's value, no NaN), a handle, light
// userdata. `hash` is set by gr_map_key_init.
typedef struct gr_map_key {
  gr_message scalar; // GR_MESSAGE_NIL for a string
  const char *bytes;
  size_t len;
  uint64_t hash;
} gr_map_key;

// The same as an entry has it: counted, constant, owning what it holds.
typedef struct gr_map_name {
  gr_refs refs;
  gr_message scalar;
  size_t len;
  char bytes[];
} gr_map_name;

typedef struct gr_map gr_map;

typedef struct gr_map_entry {
  gr_map *map;
  gr_map_name *name;
  uint64_t hash;

  // The id of who has it to itself, or 0. Written under the shard's lock, read
  // by dumps.
  _Atomic(uint64_t) user;

  // Guarded by the shard's lock.
  struct gr_map_entry *next;
  gr_message value;      // GR_MESSAGE_NIL: none
  uint32_t waiter_count; // also those whose wait has ended, until they know it
  gr_list waiters;
} gr_map_entry;

static inline uint64_t gr_map_entry_user(const gr_map_entry *entry) {
  return atomic_load_explicit(&entry->user, memory_order_relaxed);
}

typedef struct gr_map_shard {
  gr_lock lock;

  // Guarded by lock.
  uint32_t buckets; // a power of two, or 0 at first
  uint32_t entries; // in the table
  uint32_t values;  // of these, those that have one
  gr_map_entry **table;
} gr_map_shard;

enum { GR_MAP_SHARDS = 32 };

struct gr_map {
  gr_object object;
  uint64_t seed; // constant; of hashes
  gr_map_shard shards[GR_MAP_SHARDS];
};

// With one reference, or NULL when out of memory.
gr_map *gr_map_new(void);

void gr_map_key_init(const gr_map *m, gr_map_key *key);

// The following are for the running goroutine, inside the runtime. They wait
// while somebody else updates the entry. GR_RECURSIVE: that is the caller
// itself. GR_NOMEM, or what ended the wait: nothing is done.

// A copy of the value; GR_MESSAGE_NIL for none.
gr_status gr_map_get(gr_map *m, const gr_map_key *key, gr_message *out);

// Moves the message in; GR_MESSAGE_NIL deletes. If not GR_OK, it stays the
// caller's; else the caller drops what *message is then: the old value.
gr_status gr_map_set(gr_map *m, const gr_map_key *key, gr_message *message);

// The same if the value is equal to `old`, which is as a key, or nothing; *done
// tells. If not, the message stays the caller's.
gr_status gr_map_swap(gr_map *m, const gr_map_key *key, const gr_map_key *old,
                      gr_message *message, bool *done);

// Takes an entry for the caller alone, made if need be, until one of the other
// two, which wait for nothing. *old is a copy of its value.
gr_status gr_map_begin(gr_map *m, const gr_map_key *key, gr_map_entry **entry,
                       gr_message *old);
void gr_map_commit(gr_map_entry *entry, gr_message *message); // as gr_map_set
void gr_map_abort(gr_map_entry *entry);

// How many have values.
uint64_t gr_map_count(gr_map *m);

// The entries of a shard that have values, at one moment.
typedef struct gr_map_item {
  gr_map_name *name; // holds a reference
  gr_message value;
} gr_map_item;

// False when out of memory. *items is to be freed by gr_map_items_free, which
// leaves out those before `from`. NULL when there are none.
bool gr_map_items(gr_map *m, unsigned shard, bool with_values,
                  gr_map_item **items, uint32_t *count);
void gr_map_items_free(gr_map_item *items, uint32_t from, uint32_t count);

#endif
