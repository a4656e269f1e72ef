// SPDX-License-Identifier: MIT
// A piece's slab begins where the address is a multiple of SLAB_BYTES. To take
// memory from a process costs as much as a goroutine, for the other threads
// must be told, so that it is done for many pieces at once, and seldom by those
// who give pieces back.
#include "base/pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/poison.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum {
  LINE = GR_POOL_ALIGN,
  SLAB_BYTES = 2 * 1024 * 1024, // of a large page, where there are such
  WARM_BYTES = 64 * 1024 * 1024,
  WARM_TIMES = 7, // so many times what is used may be free besides
  WORD_BITS = 64,
  WORDS = 8, // pieces are of some KB: enough for all of a slab
  PIECES_MAX = WORDS * WORD_BITS,
};

// Guarded by the pool's lock, but for the constants.
typedef struct slab {
  gr_link link;    // in `warm` or `cold`
  unsigned pieces; // constant
  unsigned free, warm;
  size_t bytes; // constant
  uint64_t is_free[WORDS];
  uint64_t is_cold[WORDS]; // of those that are free
} slab;

enum { HEADER = (sizeof(slab) + LINE - 1) / LINE * LINE };

// Those that keep too much, linked by `next_warm`.
static _Atomic(gr_pool *) too_warm;

void gr_pool_init(gr_pool *pool, size_t bytes) {
  *pool = (gr_pool){.lock = GR_LOCK_STATIC(GR_RANK_LEAF),
                    .piece_bytes = (bytes + LINE - 1) / LINE * LINE};
  gr_list_init(&pool->warm);
  gr_list_init(&pool->cold);
}

// --- slabs ---

static char *map(size_t bytes) {
  size_t mapped = bytes + SLAB_BYTES;
  char *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    return NULL;
  size_t before = SLAB_BYTES - (uintptr_t)at % SLAB_BYTES;
  munmap(at, before);
  if (before < SLAB_BYTES)
    munmap(at + before + bytes, SLAB_BYTES - before);
#ifdef MADV_HUGEPAGE
  madvise(at + before, bytes, MADV_HUGEPAGE); // touching pages is what costs
#endif
  return at + before;
}

static char *piece_at(const gr_pool *pool, slab *s, unsigned i) {
  return (char *)s + HEADER + i * pool->piece_bytes;
}

static slab *slab_of(void *piece) {
  return (slab *)((uintptr_t)piece / SLAB_BYTES * SLAB_BYTES);
}

static slab *slab_new(const gr_pool *pool) {
  size_t count = (SLAB_BYTES - HEADER) / pool->piece_bytes;
  count = count < 1 ? 1 : count > PIECES_MAX ? PIECES_MAX : count;
  size_t bytes = HEADER + count * pool->piece_bytes;
  bytes = (bytes + SLAB_BYTES - 1) / SLAB_BYTES * SLAB_BYTES;
  slab *s = (slab *)map(bytes);
  if (!s)
    return NULL;
  *s = (slab){.bytes = bytes, .pieces = (unsigned)count};
  gr_link_init(&s->link);
  for (unsigned i = 0; i < count; i++)
    s->is_free[i / WORD_BITS] |= UINT64_C(1) << i % WORD_BITS;
  s->free = s->warm = s->pieces; // a large page is there as a whole
  GR_POISON(piece_at(pool, s, 0), count * pool->piece_bytes);
  return s;
}

static void slab_free(slab *s) {
  GR_UNPOISON(s, s->bytes);
  munmap(s, s->bytes);
}

// Into the list in which it belongs, in front.
static void enlist_locked(gr_pool *pool, slab *s) {
  gr_list_remove(&s->link);
  if (s->warm)
    gr_list_push_front(&pool->warm, &s->link);
  else if (s->free)
    gr_list_push_front(&pool->cold, &s->link);
}

// --- getting ---

// A piece of a slab in which there is one; of those with memory, if any is.
static char *take_locked(gr_pool *pool, slab *s) {
  unsigned word = 0;
  uint64_t among;
  do {
    among = s->is_free[word] & (s->warm ? ~s->is_cold[word] : ~UINT64_C(0));
  } while (!among && ++word < WORDS);
  unsigned bit = (unsigned)__builtin_ctzll(among);
  s->is_free[word] &= ~(UINT64_C(1) << bit);
  s->is_cold[word] &= ~(UINT64_C(1) << bit);
  s->free--;
  pool->used++;
  if (s->warm) {
    s->warm--;
    pool->warm_count--;
    if (!s->warm)
      enlist_locked(pool, s);
  } else if (!s->free) {
    gr_list_remove(&s->link);
  }
  return piece_at(pool, s, word * WORD_BITS + bit);
}

void *gr_pool_get(gr_pool *pool) {
  gr_lock_lock(&pool->lock);
  gr_link *link = gr_list_first(&pool->warm);
  if (!link)
    link = gr_list_first(&pool->cold);
  if (!link) {
    gr_lock_unlock(&pool->lock);
    slab *s = slab_new(pool);
    if (!s)
      return NULL;
    link = &s->link;
    gr_lock_lock(&pool->lock);
    pool->warm_count += s->warm;
    enlist_locked(pool, s);
  }
  char *piece = take_locked(pool, GR_CONTAINER(link, slab, link));
  gr_lock_unlock(&pool->lock);
  GR_UNPOISON(piece, pool->piece_bytes);
  return piece;
}

// --- giving back ---

// The whole pages in `count` pieces from this one.
static void cool(char *from, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)from + page - 1) / page * page;
  uintptr_t end = ((uintptr_t)from + bytes) / page * page;
  if (begin < end)
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static bool is_in(const uint64_t *set, unsigned i) {
  return set[i / WORD_BITS] >> i % WORD_BITS & 1;
}

static void cool_all(const gr_pool *pool, slab *s, const uint64_t *which) {
  for (unsigned i = 0, end; i < s->pieces; i = end + 1) {
    for (end = i; end < s->pieces && is_in(which, end);)
      end++;
    if (end > i)
      cool(piece_at(pool, s, i), (end - i) * pool->piece_bytes);
  }
}

// Nothing of it is used; unlocks.
static void drop_locked(gr_pool *pool, slab *s) {
  gr_list_remove(&s->link);
  pool->warm_count -= s->warm;
  gr_lock_unlock(&pool->lock);
  slab_free(s);
}

// Takes the memory of the free pieces of the slab that has been left alone for
// longest. They are nobody's meanwhile; unlocks.
static void cool_one_locked(gr_pool *pool) {
  slab *s = GR_CONTAINER(pool->warm.head.prev, slab, link);
  uint64_t which[WORDS];
  unsigned count = s->warm;
  for (int i = 0; i < WORDS; i++) {
    which[i] = s->is_free[i] & ~s->is_cold[i];
    s->is_free[i] &= ~which[i];
  }
  s->free -= count;
  s->warm = 0;
  pool->warm_count -= count;
  enlist_locked(pool, s);
  gr_lock_unlock(&pool->lock);
  cool_all(pool, s, which);
  gr_lock_lock(&pool->lock);
  for (int i = 0; i < WORDS; i++) {
    s->is_free[i] |= which[i];
    s->is_cold[i] |= which[i];
  }
  s->free += count;
  if (s->free == s->pieces) {
    drop_locked(pool, s);
    return;
  }
  enlist_locked(pool, s);
  gr_lock_unlock(&pool->lock);
}

static size_t may_be_warm(const gr_pool *pool) {
  return WARM_BYTES / pool->piece_bytes;
}

static bool is_too_warm_locked(const gr_pool *pool) {
  return pool->warm_count > may_be_warm(pool) + WARM_TIMES * pool->used;
}

// Unlocks.
static void enlist_if_too_warm_locked(gr_pool *pool) {
  bool enlists = !pool->is_too_warm && is_too_warm_locked(pool);
  if (enlists)
    pool->is_too_warm = true;
  gr_lock_unlock(&pool->lock);
  if (!enlists)
    return;
  pool->next_warm = atomic_load_explicit(&too_warm, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&too_warm, &pool->next_warm,
                                                pool, memory_order_release,
                                                memory_order_relaxed)) {
  }
}

bool gr_pool_is_any_too_warm(void) {
  return atomic_load_explicit(&too_warm, memory_order_relaxed) != NULL;
}

void gr_pool_cool(void) {
  gr_pool *pool =
      atomic_exchange_explicit(&too_warm, NULL, memory_order_acquire);
  for (gr_pool *next; pool; pool = next) {
    next = pool->next_warm;
    gr_lock_lock(&pool->lock);
    if (is_too_warm_locked(pool)) {
      cool_one_locked(pool);
      gr_lock_lock(&pool->lock);
    }
    pool->is_too_warm = false;
    enlist_if_too_warm_locked(pool);
  }
}

void gr_pool_put(gr_pool *pool, void *piece) {
  slab *s = slab_of(piece);
  size_t bytes = pool->piece_bytes;
  unsigned i = (unsigned)(((char *)piece - piece_at(pool, s, 0)) / bytes);
  GR_POISON(piece, bytes);
  gr_lock_lock(&pool->lock);
  s->is_free[i / WORD_BITS] |= UINT64_C(1) << i % WORD_BITS;
  s->free++;
  s->warm++;
  pool->warm_count++;
  pool->used--;
  if (gr_list_first(&pool->warm) != &s->link)
    enlist_locked(pool, s);
  if (s->free == s->pieces && pool->warm_count > may_be_warm(pool))
    drop_locked(pool, s);
  else
    enlist_if_too_warm_locked(pool);
}
