// SPDX-License-Identifier: MIT
// What every file may use: assertions, attributes, the clock, status codes.
#ifndef GR_BASE_H
#define GR_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define GR_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define GR_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define GR_TSAN 1
#endif

#define GR_NOINLINE __attribute__((noinline))
#define GR_NORETURN __attribute__((noreturn))
#define GR_LIKELY(x) __builtin_expect(!!(x), 1)
#define GR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define GR_CONTAINER(ptr, type, member)                                        \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum { GR_LINE_BYTES = 64 }; // of the caches, on most processors

// On in every build: a broken invariant ends the process, loudly.
#define GR_ASSERT(cond)                                                        \
  (GR_LIKELY(cond) ? (void)0 : gr_assert_failed(#cond, __FILE__, __LINE__))

// Writes the broken invariant to stderr and aborts. Any thread.
GR_NORETURN void gr_assert_failed(const char *cond, const char *file, int line);

// The process is the child of a fork: its one thread has left the others, with
// the runtime, in the parent. Locks may be held by nobody, so that none is
// taken. Written in the child, before anything else runs there.
extern atomic_bool gr_was_forked;

static inline bool gr_is_child(void) {
  return GR_UNLIKELY(
      atomic_load_explicit(&gr_was_forked, memory_order_relaxed));
}

// How an operation that may wait has ended.
typedef enum gr_status {
  GR_OK,
  GR_TIMEOUT,
  GR_CLOSED,
  GR_NOMEM,
  GR_DEADLOCK,    // the wait could never have ended
  GR_STOPPED,     // the runtime has stopped: the host's state is closing
  GR_INTERRUPTED, // a pending Lua hook of the host wants to run (Ctrl-C)
  GR_RECURSIVE,   // it would wait for itself
  GR_CANCELLED,   // the goroutine is to stop
} gr_status;

// A point in time on the monotonic clock, in nanoseconds.
#define GR_NEVER UINT64_MAX
#define GR_POLL 0

// Nanoseconds on the monotonic clock; never 0. Any thread, signal-safe.
uint64_t gr_now_ns(void);

// CPU time that the calling thread has used.
uint64_t gr_thread_cpu_ns(void);

// Tells the processor that this is a spinning loop.
static inline void gr_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
