// SPDX-License-Identifier: MIT
#include "value/code.h"

#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

static struct {
  gr_lock lock;
  unsigned count; // guarded by lock, as are those up to there
  gr_code all[GR_CODES];
} codes = {.lock = GR_LOCK_STATIC(GR_RANK_LEAF)};

static gr_code *find_locked(gr_bytecode bytecode) {
  for (unsigned i = 0; i < codes.count; i++) {
    const gr_bytecode *known = &codes.all[i].bytecode;
    if (known->len == bytecode.len &&
        !memcmp(known->bytes, bytecode.bytes, bytecode.len))
      return &codes.all[i];
  }
  return NULL;
}

static gr_code *add_locked(gr_bytecode bytecode) {
  if (codes.count == GR_CODES)
    return NULL;
  unsigned char *bytes = malloc(bytecode.len);
  if (!bytes)
    return NULL;
  memcpy(bytes, bytecode.bytes, bytecode.len);
  gr_code *code = &codes.all[codes.count++];
  code->bytecode = (gr_bytecode){bytes, bytecode.len};
  return code;
}

gr_code *gr_code_find(gr_bytecode bytecode) {
  if (gr_image_may_mistake(bytecode))
    return NULL;
  gr_lock_lock(&codes.lock);
  gr_code *code = find_locked(bytecode);
  if (!code)
    code = add_locked(bytecode);
  gr_lock_unlock(&codes.lock);
  return code;
}

unsigned gr_code_number(const gr_code *code) {
  return (unsigned)(code - codes.all);
}
