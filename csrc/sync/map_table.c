// SPDX-License-Identifier: MIT
#include "sync/map_table.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 4 };

// --- keys ---

static uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = (a ^ b) * 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
  return x ^ x >> 32;
}

static uint64_t hash_bytes(uint64_t seed, const char *bytes, size_t len) {
  uint64_t hash = mix(seed, len), word;
  for (; len >= sizeof word; bytes += sizeof word, len -= sizeof word) {
    memcpy(&word, bytes, sizeof word);
    hash = mix(hash, word);
  }
  word = 0;
  memcpy(&word, bytes, len);
  return mix(hash, word);
}

// What the message holds, as 64 bits: pointers are no longer.
static uint64_t bits_of(const gr_message *scalar) {
  switch (scalar->kind) {
  case GR_MESSAGE_INTEGER:
  case GR_MESSAGE_FLOAT:
    return (uint64_t)scalar->integer;
  case GR_MESSAGE_POINTER:
    return (uintptr_t)scalar->pointer;
  case GR_MESSAGE_HANDLE:
    return (uintptr_t)scalar->pointer + scalar->view;
  default:
    return 0;
  }
}

void gr_map_key_init(const gr_map *m, gr_map_key *key) {
  if (key->scalar.kind == GR_MESSAGE_NIL)
    key->hash = hash_bytes(m->seed, key->bytes, key->len);
  else
    key->hash = mix(m->seed + key->scalar.kind, bits_of(&key->scalar));
}

static bool is_key(const gr_map_name *name, const gr_map_key *key) {
  if (name->scalar.kind != key->scalar.kind)
    return false;
  if (key->scalar.kind != GR_MESSAGE_NIL)
    return bits_of(&name->scalar) == bits_of(&key->scalar);
  return name->len == key->len && !memcmp(name->bytes, key->bytes, key->len);
}

static gr_map_name *name_new(const gr_map_key *key) {
  gr_map_name *name = malloc(sizeof *name + key->len);
  if (!name)
    return NULL;
  gr_refs_init(&name->refs);
  name->scalar = gr_message_copy(&key->scalar);
  name->len = key->len;
  if (key->len > 0)
    memcpy(name->bytes, key->bytes, key->len);
  return name;
}

void gr_map_name_release(gr_map_name *name) {
  if (!gr_refs_release(&name->refs))
    return;
  gr_message_drop(&name->scalar);
  free(name);
}

// --- the table ---

// The low bits have chosen the shard.
static gr_map_entry **bucket_of(gr_map_entry **table, uint32_t buckets,
                                uint64_t hash) {
  return &table[hash / GR_MAP_SHARDS % buckets];
}

gr_map_entry *gr_map_table_find(const gr_map_shard *shard,
                                const gr_map_key *key) {
  if (shard->buckets == 0)
    return NULL;
  gr_map_entry *e = *bucket_of(shard->table, shard->buckets, key->hash);
  while (e && (e->hash != key->hash || !is_key(e->name, key)))
    e = e->next;
  return e;
}

// False when out of memory: the table stays as it is.
static bool resize(gr_map_shard *shard, uint32_t buckets) {
  gr_map_entry **table = calloc(buckets, sizeof(gr_map_entry *));
  if (!table)
    return false;
  for (uint32_t i = 0; i < shard->buckets; i++)
    for (gr_map_entry *e = shard->table[i], *next; e; e = next) {
      gr_map_entry **bucket = bucket_of(table, buckets, e->hash);
      next = e->next;
      e->next = *bucket;
      *bucket = e;
    }
  free(shard->table);
  shard->table = table;
  shard->buckets = buckets;
  return true;
}

static gr_map_entry *entry_new(gr_map *m, const gr_map_key *key) {
  gr_map_entry *e = malloc(sizeof *e);
  if (!e)
    return NULL;
  *e = (gr_map_entry){.map = m, .name = name_new(key), .hash = key->hash};
  gr_list_init(&e->waiters);
  if (!e->name) {
    free(e);
    return NULL;
  }
  return e;
}

gr_map_entry *gr_map_table_add(gr_map *m, gr_map_shard *shard,
                               const gr_map_key *key) {
  if (shard->entries == shard->buckets && shard->buckets <= UINT32_MAX / 2)
    resize(shard, shard->buckets ? 2 * shard->buckets : BUCKETS_MIN);
  gr_map_entry *e = shard->buckets ? entry_new(m, key) : NULL;
  if (!e)
    return NULL;
  gr_map_entry **bucket = bucket_of(shard->table, shard->buckets, e->hash);
  e->next = *bucket;
  *bucket = e;
  shard->entries++;
  return e;
}

void gr_map_table_remove(gr_map_shard *shard, gr_map_entry *entry) {
  gr_map_entry **at = bucket_of(shard->table, shard->buckets, entry->hash);
  while (*at != entry)
    at = &(*at)->next;
  *at = entry->next;
  shard->entries--;
  if (shard->buckets > BUCKETS_MIN && shard->entries < shard->buckets / 8)
    resize(shard, shard->buckets / 2);
}

void gr_map_entry_free(gr_map_entry *entry) {
  GR_ASSERT(gr_list_is_empty(&entry->waiters));
  gr_map_name_release(entry->name);
  gr_message_drop(&entry->value);
  free(entry);
}

void gr_map_table_fini(gr_map_shard *shard) {
  for (uint32_t i = 0; i < shard->buckets; i++)
    for (gr_map_entry *e = shard->table[i], *next; e; e = next) {
      next = e->next;
      gr_map_entry_free(e);
    }
  free(shard->table);
}
