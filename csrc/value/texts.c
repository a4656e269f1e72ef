// SPDX-License-Identifier: MIT
// Blocks made without a Lua state, of what the runtime itself has to tell.
#include <stdlib.h>
#include <string.h>

#include "value/block.h"

static size_t bytes_of(const char *text) {
  return 1 + sizeof(uint64_t) + strlen(text);
}

static unsigned char *put(unsigned char *at, const void *bytes, size_t len) {
  memcpy(at, bytes, len);
  return at + len;
}

static unsigned char *put_text(unsigned char *at, const char *text) {
  uint64_t len = strlen(text);
  *at++ = GR_TAG_STRING;
  at = put(at, &len, sizeof len);
  return put(at, text, len);
}

gr_block *gr_block_of_texts(const char *const *pairs, uint32_t count) {
  size_t room = 16;
  for (uint32_t i = 0; i < 2 * count; i++)
    room += bytes_of(pairs[i]);
  gr_block *block = calloc(1, sizeof *block + room);
  if (!block)
    return NULL;
  uint32_t array = 0;
  unsigned char *at = block->items;
  *at++ = GR_TAG_TABLE;
  at = put(at, &array, sizeof array);
  at = put(at, &count, sizeof count);
  *at++ = 0; // no metatable
  for (uint32_t i = 0; i < 2 * count; i++)
    at = put_text(at, pairs[i]);
  *at++ = GR_TAG_END;
  gr_refs_init(&block->refs);
  block->room = room;
  block->value_count = 1;
  block->bytes = (size_t)(at - block->items);
  gr_count(GR_COUNT_BLOCKS, 1);
  return block;
}
