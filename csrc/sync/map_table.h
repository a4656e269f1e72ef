// SPDX-License-Identifier: MIT
// The hash table in a shard of a map: chained, of a size that follows the
// number of entries. All but what frees is done under the shard's lock.
#ifndef GR_MAP_TABLE_H
#define GR_MAP_TABLE_H

#include "sync/map.h"

gr_map_entry *gr_map_table_find(const gr_map_shard *shard,
                                const gr_map_key *key);

// Adds an entry without a value for a key that has none. NULL when out of
// memory.
gr_map_entry *gr_map_table_add(gr_map *m, gr_map_shard *shard,
                               const gr_map_key *key);

// Takes the entry out, which is not freed.
void gr_map_table_remove(gr_map_shard *shard, gr_map_entry *entry);

// Frees it, and its value. Holding nothing.
void gr_map_entry_free(gr_map_entry *entry);
void gr_map_name_release(gr_map_name *name);

// Frees all.
void gr_map_table_fini(gr_map_shard *shard);

#endif
