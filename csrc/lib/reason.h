// SPDX-License-Identifier: MIT
// Why a goroutine waits, in words; and the text that dumps are made of.
#ifndef GR_REASON_H
#define GR_REASON_H

#include "sched/goroutine.h"
#include "sync/task.h"

// A text that grows; it stays as it is when out of memory.
typedef struct gr_report {
  char *bytes;
  size_t len, room;
} gr_report;

void gr_report_add(gr_report *r, const char *text);

// As gr_push_title has it.
void gr_report_add_title(gr_report *r, const gr_task *task, uint64_t id);

// "chan receive"
const char *gr_reason_of(gr_wait_kind kind);

// A line, or some, about what the goroutine waits for. Under the scheduler's
// lock, while the goroutine cannot run: the object is there as long as its
// wait, for its stacks hold it (an entry of a map counts who waits).
void gr_reason_add_object(gr_report *r, const gr_goroutine *g);

#endif
