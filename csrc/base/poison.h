// SPDX-License-Identifier: MIT
// Tells AddressSanitizer what of our own memory may be used.
#ifndef GR_POISON_H
#define GR_POISON_H

#include "base/base.h"

#ifdef GR_ASAN
#include <sanitizer/asan_interface.h>
#define GR_POISON(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define GR_UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define GR_POISON(at, bytes) ((void)(at), (void)(bytes))
#define GR_UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

#endif
