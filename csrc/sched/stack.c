// SPDX-License-Identifier: MIT
// A slab is one mapping of SLAB_STACKS equal slots, each a guard page and a
// stack. Slabs are never unmapped: a stack that has been idle for long gives
// its memory back, not its addresses.
#include "sched/stack.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) 0
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_STACK
#define MAP_STACK 0
#endif

enum {
  SLAB_STACKS = 16,
  WARM_MAX = 4096,        // free stacks that may keep their memory
  KEEP_BYTES = 16 * 1024, // of each of those, from the top
  LOOK_BYTES = 64 * 1024, // below that, in which memory is looked for
  LOOK_TURN = 32,         // in each such stack, until one has some,
  LOOKS = 64,             // then in so many, one after the other
};

static struct {
  gr_lock lock;
  size_t size;    // of new stacks
  gr_stack *warm; // free, of this size, touched
  uint32_t warm_count;
  gr_stack *cold; // free, of this size, mostly without memory below KEEP_BYTES
  uint32_t passed_over, looks_left; // see is_looked_at_locked
  uint32_t free, reserved;          // so many of those that are free
  uint32_t all, unguarded;
  uint32_t guards_left; // stacks that may still get a guard by mprotect
  bool no_guard_install;
} pool = {
    .lock = GR_LOCK_STATIC(GR_RANK_LEAF),
    .size = 512 * 1024,
    .guards_left = 16 * 1024,
};

static size_t page_bytes(void) {
  static atomic_size_t page;
  size_t known = atomic_load_explicit(&page, memory_order_relaxed);
  if (!known) {
    known = (size_t)sysconf(_SC_PAGESIZE);
    atomic_store_explicit(&page, known, memory_order_relaxed);
  }
  return known;
}

static bool install_guard_locked(char *at) {
  if (!pool.no_guard_install) {
    if (madvise(at, page_bytes(), MADV_GUARD_INSTALL) == 0)
      return true;
    pool.no_guard_install = true;
  }
  if (pool.guards_left == 0 || mprotect(at, page_bytes(), PROT_NONE) != 0)
    return false;
  pool.guards_left--;
  return true;
}

// The header lies in the topmost bytes of the stack that it describes.
static gr_stack *cut_locked(char *slot) {
  char *base = slot + page_bytes();
  gr_stack *stack = (gr_stack *)(base + pool.size) - 1;
  *stack = (gr_stack){.base = base, .size = pool.size};
  stack->guarded = install_guard_locked(slot);
  stack->valgrind_id = VALGRIND_STACK_REGISTER(base, base + pool.size);
  pool.all++;
  pool.unguarded += !stack->guarded;
  return stack;
}

static void add_slab_locked(void) {
  size_t slot = pool.size + page_bytes();
  char *slab =
      mmap(NULL, slot * SLAB_STACKS, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (slab == MAP_FAILED)
    return;
#ifdef MADV_NOHUGEPAGE
  madvise(slab, slot * SLAB_STACKS, MADV_NOHUGEPAGE);
#endif
  for (int i = SLAB_STACKS - 1; i >= 0; i--) {
    gr_stack *stack = cut_locked(slab + (size_t)i * slot);
    stack->next = pool.cold;
    pool.cold = stack;
  }
  pool.free += SLAB_STACKS;
}

static bool reserve_locked(void) {
  if (pool.free == pool.reserved)
    add_slab_locked();
  if (pool.free == pool.reserved)
    return false;
  pool.reserved++;
  return true;
}

static gr_stack *take_locked(void) {
  gr_stack *stack = pool.warm;
  if (stack) {
    pool.warm = stack->next;
    pool.warm_count--;
  } else {
    stack = pool.cold;
    pool.cold = stack->next;
  }
  pool.free--;
  pool.reserved--;
  return stack;
}

gr_stack *gr_stack_new(void) {
  gr_lock_lock(&pool.lock);
  gr_stack *stack = reserve_locked() ? take_locked() : NULL;
  gr_lock_unlock(&pool.lock);
  return stack;
}

bool gr_stack_reserve(void) {
  gr_lock_lock(&pool.lock);
  bool done = reserve_locked();
  gr_lock_unlock(&pool.lock);
  return done;
}

gr_stack *gr_stack_take(void) {
  gr_lock_lock(&pool.lock);
  gr_stack *stack = take_locked();
  gr_lock_unlock(&pool.lock);
  return stack;
}

void gr_stack_unreserve(void) {
  gr_lock_lock(&pool.lock);
  pool.reserved--;
  gr_lock_unlock(&pool.lock);
}

// False if nothing in the range has memory, or is known to have.
static bool is_touched(char *from, size_t bytes) {
#ifdef __linux__
  unsigned char pages[1024];
  size_t step = sizeof pages * page_bytes();
  for (; bytes; from += step, bytes -= step) {
    step = step < bytes ? step : bytes;
    if (mincore(from, step, pages) != 0)
      return true;
    for (size_t i = 0; i < (step + page_bytes() - 1) / page_bytes(); i++)
      if (pages[i] & 1)
        return true;
  }
  return false;
#else
  (void)from, (void)bytes;
  return true;
#endif
}

// Few stacks have much memory, and those of the same program have alike: not
// every one is looked at.
static bool is_looked_at_locked(void) {
  bool looks = pool.looks_left > 0 || ++pool.passed_over >= LOOK_TURN;
  if (looks) {
    pool.passed_over = 0;
    pool.looks_left -= pool.looks_left > 0;
  }
  return looks;
}

// Gives all memory but the topmost KEEP_BYTES back to the system, if there is
// any: to look is cheap beside that, which interrupts all threads. It takes
// longer the further one looks, and stacks grow downwards: one that has memory
// deep down alone, below a frame larger than that, keeps it.
static bool cool(gr_stack *stack) {
  if (stack->size <= KEEP_BYTES)
    return false;
  size_t bytes = stack->size - KEEP_BYTES;
  size_t near = bytes < LOOK_BYTES ? bytes : LOOK_BYTES;
  bool is_deep = is_touched(stack->base + bytes - near, near);
  if (is_deep)
    madvise(stack->base, bytes, MADV_DONTNEED);
  return is_deep;
}

void gr_stack_free(gr_stack *stack) {
  gr_lock_lock(&pool.lock);
  bool warm = stack->size == pool.size && pool.warm_count < WARM_MAX;
  if (warm) {
    stack->next = pool.warm;
    pool.warm = stack;
    pool.warm_count++;
    pool.free++;
  }
  bool looks = !warm && is_looked_at_locked();
  if (looks) {
    gr_lock_unlock(&pool.lock);
    bool was_deep = cool(stack);
    gr_lock_lock(&pool.lock);
    if (was_deep)
      pool.looks_left = LOOKS;
  }
  if (!warm && stack->size == pool.size) {
    stack->next = pool.cold;
    pool.cold = stack;
    pool.free++;
  } // one of another size is left alone: sizes change once, at the start
  gr_lock_unlock(&pool.lock);
}

bool gr_stack_set_size(size_t bytes) {
  size_t page = page_bytes();
  bytes = (bytes + page - 1) & ~(page - 1);
  gr_lock_lock(&pool.lock);
  gr_stack *warm = pool.warm, *cold = pool.cold;
  uint32_t warm_count = pool.warm_count, free = pool.free;
  size_t size = pool.size;
  if (bytes != size) {
    pool.size = bytes;
    pool.warm = pool.cold = NULL;
    pool.warm_count = pool.free = 0;
    for (uint32_t before = 0; pool.free < pool.reserved; before = pool.free) {
      add_slab_locked();
      if (pool.free == before)
        break;
    }
  }
  bool done = pool.free >= pool.reserved;
  if (!done) { // what was added is left alone
    pool.size = size;
    pool.warm = warm;
    pool.cold = cold;
    pool.warm_count = warm_count;
    pool.free = free;
  }
  gr_lock_unlock(&pool.lock);
  return done;
}

size_t gr_stack_get_size(void) {
  gr_lock_lock(&pool.lock);
  size_t size = pool.size;
  gr_lock_unlock(&pool.lock);
  return size;
}

void gr_stack_limit_guards(uint32_t count, bool forced) {
  gr_lock_lock(&pool.lock);
  pool.guards_left = count;
  pool.no_guard_install = forced;
  gr_lock_unlock(&pool.lock);
}

void gr_stack_count(uint32_t *all, uint32_t *unguarded) {
  gr_lock_lock(&pool.lock);
  *all = pool.all;
  *unguarded = pool.unguarded;
  gr_lock_unlock(&pool.lock);
}

bool gr_stack_is_guard(const gr_stack *stack, const void *address) {
  const char *at = address;
  return at < stack->base && at >= stack->base - page_bytes();
}
