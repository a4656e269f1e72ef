// SPDX-License-Identifier: MIT
// Groups: goroutines make their own, with tasks that end, fail, or wait until
// they are cancelled, by a failure, by whoever has made the group, or by a
// deadline around it; and share one. Each task is accounted for: it has run, is
// waited for, given once by those that give, and its failure is told or found
// to be forgotten.
#include "stress.h"
#include "sync/group.h"

enum { ROUNDS = 2, TASKS_MAX = 6 };

typedef enum fate {
  ENDS,
  SLEEPS,
  FAILS,
  WAITS, // for ever, until it is cancelled
} fate;

// What a task does. Its task's `parent` is the address; freed at the end.
typedef struct plan {
  fate fate;
  uint64_t deadline_ns; // of SLEEPS
  atomic_uint *ended;
  atomic_bool told;
  struct plan *next;
} plan;

static gr_group *shared;
static atomic_uint shared_ended;
static _Atomic(plan *) plans;
static atomic_ulong started, finished, failures, cancelled, told, forgotten;
static atomic_ulong rounds, cancelled_rounds, failed_rounds, given, gave_back;

// --- tasks ---

static plan *plan_of(const gr_task *task) {
  return (plan *)(uintptr_t)task->parent;
}

static plan *new_plan(fate what, uint64_t deadline_ns, atomic_uint *ended) {
  plan *p = calloc(1, sizeof *p);
  CHECK(p);
  p->fate = what;
  p->deadline_ns = deadline_ns;
  p->ended = ended;
  p->next = atomic_load(&plans);
  while (!atomic_compare_exchange_weak(&plans, &p->next, p))
    ;
  return p;
}

typedef struct lifetime {
  gr_task *task;
  gr_task_state state;
} lifetime;

static void commit_task_end(gr_goroutine *g, void *arg) {
  lifetime life = *(lifetime *)arg;
  gr_lock_lock(&life.task->lock);
  life.task->g = NULL;
  gr_lock_unlock(&life.task->lock);
  gr_goroutine_free(g);
  gr_task_end(life.task, life.state, NULL);
  gr_task_release(life.task);
}

static gr_status sleep_until(gr_goroutine *g, uint64_t deadline_ns) {
  gr_wait_open(g);
  gr_park(GR_WAIT_SLEEP, NULL, deadline_ns, NULL, NULL);
  return gr_wait_status(g);
}

static gr_task_state follow(gr_goroutine *g, const plan *p) {
  gr_status status = GR_OK;
  if (p->fate == SLEEPS || p->fate == WAITS)
    status = sleep_until(g, p->deadline_ns);
  else
    gr_yield();
  CHECK(p->fate != WAITS || status == GR_CANCELLED);
  if (status == GR_CANCELLED)
    return GR_TASK_CANCELLED;
  return p->fate == FAILS ? GR_TASK_FAILED : GR_TASK_DONE;
}

static void task_live(gr_goroutine *g) {
  lifetime life = {g->owner, GR_TASK_DONE};
  plan *p = plan_of(life.task);
  life.state = follow(g, p);
  if (life.state == GR_TASK_FAILED)
    atomic_fetch_add(&failures, 1);
  if (life.state == GR_TASK_CANCELLED)
    atomic_fetch_add(&cancelled, 1);
  atomic_fetch_add(p->ended, 1);
  atomic_fetch_add(&finished, 1);
  gr_cancel_enter(g, NULL);
  gr_finish(commit_task_end, &life);
}

// The last that knew of a failed task has let it go, and nobody has joined it.
static void forget(gr_task *task) {
  CHECK(task->state == GR_TASK_FAILED);
  CHECK(!atomic_exchange(&plan_of(task)->told, true));
  atomic_fetch_add(&forgotten, 1);
}

// A wait has told of it.
static void tell(gr_task *task) {
  CHECK(task->state == GR_TASK_FAILED || task->state == GR_TASK_CANCELLED);
  CHECK(gr_task_wait(task, GR_POLL) == GR_OK);
  if (task->state == GR_TASK_FAILED &&
      !atomic_exchange(&plan_of(task)->told, true))
    atomic_fetch_add(&told, 1);
  gr_task_release(task);
}

static void start(gr_random *r, gr_group *group, plan *p) {
  gr_member *place;
  CHECK(gr_group_reserve(group, &place) == GR_OK);
  while (gr_random_below(r, 16) == 0) {
    gr_group_unreserve(place);
    atomic_fetch_add(&gave_back, 1);
    CHECK(gr_group_reserve(group, &place) == GR_OK);
  }
  CHECK(!group->limit || atomic_load(&group->alive) <= group->limit);
  gr_task *task = gr_task_new(NULL, NULL);
  CHECK(task);
  gr_goroutine *g = gr_goroutine_new(task_live, task, gr_family_self());
  CHECK(g);
  task->g = g;
  task->id = g->id;
  task->parent = (uintptr_t)p;
  gr_group_add(place, g, task);
  atomic_fetch_add(&started, 1);
  gr_start(g);
}

// --- a group of one's own ---

typedef struct round {
  gr_group *group;
  unsigned count;
  atomic_uint ended;
  bool fails, is_cancelled, may_expire;
} round_state;

static fate some_fate(gr_random *r, const round_state *round) {
  switch (gr_random_below(r, 8)) {
  case 0:
    return FAILS;
  case 1:
  case 2:
    return SLEEPS;
  case 3: // only where somebody cancels it, also while others wait for a place
    if (round->may_expire || (round->fails && !round->group->collects) ||
        (round->is_cancelled && !round->group->limit))
      return WAITS;
    return ENDS;
  default:
    return ENDS;
  }
}

static void start_tasks(gr_random *r, round_state *round) {
  round->count = 1 + (unsigned)gr_random_below(r, TASKS_MAX);
  for (unsigned i = 0; i < round->count; i++) {
    fate what = some_fate(r, round);
    uint64_t deadline_ns =
        what == WAITS ? GR_NEVER : gr_now_ns() + gr_random_below(r, 50000);
    round->fails |= what == FAILS;
    start(r, round->group, new_plan(what, deadline_ns, &round->ended));
    maybe_yield(r);
  }
}

// All of the round are given, each once.
static void take_all(round_state *round) {
  gr_task *task, *seen[TASKS_MAX];
  unsigned count = 0;
  for (;;) {
    CHECK(gr_group_take(round->group, &task) == GR_OK);
    if (!task)
      break;
    CHECK(task->state != GR_TASK_ALIVE && count < round->count);
    for (unsigned i = 0; i < count; i++)
      CHECK(seen[i] != task);
    seen[count++] = task;
  }
  CHECK(count == round->count);
  for (unsigned i = 0; i < count; i++)
    gr_task_release(seen[i]);
  atomic_fetch_add(&given, count);
}

// What is left in the list.
static void count_kept(round_state *round) {
  unsigned count = 0;
  gr_group *group = round->group;
  gr_lock_lock(&group->lock);
  gr_link *head = &group->members.head;
  for (gr_link *link = head->next; link != head; link = link->next)
    count++;
  gr_lock_unlock(&group->lock);
  if (round->group->keep == GR_KEEP_ALL)
    CHECK(count == round->count);
  if (round->group->keep == GR_KEEP_NONE)
    CHECK(count <= 1); // the first failure
}

static void check_outcome(round_state *round, gr_group_outcome *outcome) {
  bool is_cancelled = round->is_cancelled || round->may_expire;
  CHECK(!outcome->failed || !outcome->why);
  if (!is_cancelled) {
    CHECK(!outcome->why);
    CHECK(!outcome->failed == !round->fails);
  }
  if (!round->fails && !is_cancelled)
    CHECK(!outcome->failed);
  atomic_fetch_add(&rounds, 1);
  if (outcome->failed) {
    atomic_fetch_add(&failed_rounds, 1);
    tell(outcome->failed);
  }
  if (outcome->why) {
    atomic_fetch_add(&cancelled_rounds, 1);
    gr_object_release(outcome->why);
  }
}

static void wait_for_end(gr_random *r, round_state *round) {
  gr_group_outcome outcome;
  gr_status status = GR_TIMEOUT;
  if (gr_random_below(r, 2))
    status = gr_group_wait(round->group, short_deadline(r), &outcome);
  if (status != GR_OK)
    status = gr_group_wait(round->group, GR_NEVER, &outcome);
  CHECK(status == GR_OK);
  CHECK(atomic_load(&round->ended) == round->count);
  check_outcome(round, &outcome);
}

static void live_round(gr_random *r, gr_group *group, bool may_expire) {
  round_state round = {.group = group, .may_expire = may_expire};
  bool nomem, takes = group->keep != GR_KEEP_NONE && gr_random_below(r, 2);
  round.is_cancelled = gr_random_below(r, 4) == 0;
  start_tasks(r, &round);
  if (round.is_cancelled) {
    gr_group_cancel(group, NULL, &nomem);
    CHECK(!nomem);
  }
  if (takes && gr_random_below(r, 2)) {
    take_all(&round);
    takes = false;
  }
  wait_for_end(r, &round);
  count_kept(&round);
  if (takes)
    take_all(&round);
}

static void own_group(gr_random *r) {
  bool expires = gr_random_below(r, 4) == 0;
  gr_cancel_scope *parent = NULL;
  if (expires)
    CHECK(parent = gr_cancel_scope_new(NULL, gr_now_ns() +
                                                 gr_random_below(r, 100000)));
  gr_group *group =
      gr_group_new(parent, (uint32_t)gr_random_below(r, 4),
                   gr_random_below(r, 2), (gr_group_keep)gr_random_below(r, 3));
  CHECK(group);
  if (parent)
    gr_object_release(parent);
  for (int i = 0; i < ROUNDS; i++)
    live_round(r, group, expires);
  gr_member *place;
  CHECK(gr_group_close(group) == GR_OK);
  CHECK(gr_group_reserve(group, &place) == GR_CLOSED);
  gr_object_release(group);
}

// --- the one that all share ---

static void take_part(gr_random *r) {
  bool nomem;
  gr_group_outcome outcome;
  fate what = gr_random_below(r, 4) ? ENDS : FAILS;
  start(r, shared, new_plan(what, GR_NEVER, &shared_ended));
  if (gr_random_below(r, 32) == 0)
    gr_group_cancel(shared, NULL, &nomem);
  gr_status status = gr_group_wait(shared, short_deadline(r), &outcome);
  CHECK(status == GR_OK || status == GR_TIMEOUT);
  if (status != GR_OK)
    return;
  if (outcome.failed)
    tell(outcome.failed);
  if (outcome.why)
    gr_object_release(outcome.why);
}

static atomic_ulong shared_turns;

static void init(void) {
  gr_task_on_forgotten = forget;
  shared = gr_group_new(NULL, 4, true, GR_KEEP_NONE);
  CHECK(shared);
}

static void turn(gr_random *r) {
  own_group(r);
  take_part(r);
  atomic_fetch_add(&shared_turns, 1);
}

static void check(void) {
  gr_group_outcome outcome;
  CHECK(gr_group_wait(shared, GR_NEVER, &outcome) == GR_OK);
  if (outcome.failed)
    tell(outcome.failed);
  if (outcome.why)
    gr_object_release(outcome.why);
  gr_object_release(shared);
  CHECK(atomic_load(&shared_ended) == atomic_load(&shared_turns));
  CHECK(atomic_load(&started) == atomic_load(&finished));
  // The last one lets go of its task after it has ended.
  while (atomic_load(&failures) != atomic_load(&told) + atomic_load(&forgotten))
    gr_yield();
  for (plan *p = atomic_load(&plans), *next; p; p = next) {
    next = p->next;
    free(p);
  }
  printf("group: %lu tasks, %lu failed (%lu told), %lu cancelled, %lu given; "
         "%lu rounds, %lu failed, %lu cancelled; %lu places given back: ",
         atomic_load(&started), atomic_load(&failures), atomic_load(&told),
         atomic_load(&cancelled), atomic_load(&given), atomic_load(&rounds),
         atomic_load(&failed_rounds), atomic_load(&cancelled_rounds),
         atomic_load(&gave_back));
}

int main(void) {
#ifdef GR_TSAN
  enum { TURNS = 2000 }; // to start a goroutine takes long there
#else
  enum { TURNS = 10000 };
#endif
  return stress_main(TURNS, init, turn, check);
}
