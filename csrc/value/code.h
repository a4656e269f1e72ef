// SPDX-License-Identifier: MIT
// Functions that goroutines are started with again and again. There are images
// in which they are loaded already: see image.h.
#ifndef GR_CODE_H
#define GR_CODE_H

#include "value/mention.h"

enum { GR_CODES = 16 }; // in a process

typedef struct gr_code {
  gr_bytecode bytecode; // constant
  // Of each kind of image: whether it has been asked for.
  atomic_bool is_asked_for[GR_IMAGES];
} gr_code;

// The one with this bytecode, which is made if there is room, and lives as long
// as the process; or NULL.
gr_code *gr_code_find(gr_bytecode bytecode);

// From 0 on.
unsigned gr_code_number(const gr_code *code);

#endif
