// SPDX-License-Identifier: MIT
#include "sched/barrier.h"

#include <unistd.h>

#ifdef __linux__
#include <linux/membarrier.h>
#include <sys/syscall.h>
#endif

#include "sched/worker.h"

void gr_barrier_init(void) {
#if defined(__linux__) && !defined(GR_TSAN)
  gr_enter_needs_fence =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
              0) != 0;
#else
  gr_enter_needs_fence = true;
#endif
}

void gr_barrier_everywhere(void) {
#ifdef __linux__
  if (!gr_enter_needs_fence) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    return;
  }
#endif
  atomic_thread_fence(memory_order_seq_cst);
}
