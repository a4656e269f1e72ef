// SPDX-License-Identifier: MIT
// Alarms fire in the order of their times, those that are set or taken out
// meanwhile as well; one that is set anew after it has been taken out to be
// fired, and fires elsewhere at once, keeps no other from firing.
#include "sched/deadline.h"

#include "base/random.h"
#include "test.h"

enum { ALARMS = 200 };

static gr_deadlines deadlines, other;
static gr_deadline alarms[ALARMS];
static unsigned held[ALARMS], fired[ALARMS];
static uint64_t last_ns;

static void no_goroutine(gr_goroutine *g) {
  (void)g;
  CHECK(0);
}

static void hold(gr_deadline *alarm) {
  held[alarm - alarms]++;
}

static void fire(gr_deadline *alarm, uint64_t now_ns) {
  CHECK(alarm->node.key <= now_ns);
  CHECK(alarm->node.key >= last_ns);
  last_ns = alarm->node.key;
  fired[alarm - alarms]++;
}

static void reset(const gr_alarm_type *type) {
  last_ns = 0;
  for (int i = 0; i < ALARMS; i++) {
    alarms[i] = (gr_deadline){.type = type};
    held[i] = fired[i] = 0;
  }
}

static void test_order(gr_random *r) {
  static const gr_alarm_type type = {hold, fire};
  reset(&type);
  for (int i = 0; i < ALARMS; i++)
    CHECK(
        gr_deadline_set(&deadlines, &alarms[i], 1 + gr_random_below(r, 1000)));
  for (int i = 0; i < ALARMS; i += 5)
    CHECK(gr_deadline_clear(&alarms[i]));
  unsigned count = 0;
  for (uint64_t now_ns = 0; now_ns <= 1000; now_ns += 50) {
    count += gr_deadlines_fire(&deadlines, now_ns, no_goroutine);
    CHECK(gr_deadlines_earliest(&deadlines) > now_ns);
  }
  CHECK(count == ALARMS - ALARMS / 5);
  CHECK(gr_deadlines_earliest(&deadlines) == GR_NEVER);
  for (int i = 0; i < ALARMS; i++)
    CHECK(fired[i] == (i % 5 != 0) && held[i] == fired[i]);
}

// Does what another thread may do when the alarms have been taken out: sets the
// next one anew, and has it fire on another processor.
static void fire_next_elsewhere(gr_deadline *alarm, uint64_t now_ns) {
  long i = alarm - alarms;
  fired[i]++;
  if (i % 2 || i + 1 == ALARMS || alarms[i + 1].node.entry != 0)
    return; // of the next batch, or left alone
  CHECK(gr_deadline_set(&other, &alarms[i + 1], now_ns));
  CHECK(gr_deadlines_fire(&other, now_ns, no_goroutine) == 1);
}

static void test_set_anew(void) {
  static const gr_alarm_type type = {hold, fire_next_elsewhere};
  reset(&type);
  for (int i = 0; i < ALARMS; i++)
    CHECK(gr_deadline_set(&deadlines, &alarms[i], (uint64_t)i + 1));
  gr_deadlines_fire(&deadlines, ALARMS, no_goroutine);
  for (int i = 0; i < ALARMS; i++)
    CHECK(fired[i] == held[i] && fired[i] >= 1);
  CHECK(gr_deadlines_earliest(&deadlines) == GR_NEVER);
  CHECK(gr_deadlines_earliest(&other) == GR_NEVER);
}

int main(void) {
  limit_time(60);
  gr_random r;
  gr_random_init(&r, knob("SEED", gr_now_ns() % 1000000));
  gr_deadlines_init(&deadlines);
  gr_deadlines_init(&other);
  for (int i = 0; i < 100; i++)
    test_order(&r);
  test_set_anew();
  gr_deadlines_fini(&deadlines);
  gr_deadlines_fini(&other);
  puts("deadline: ok");
}
