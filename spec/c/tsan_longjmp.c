// SPDX-License-Identifier: MIT
// For the thread sanitizer, which notes the calls that are in progress, 65,536
// at most, and takes them off when it sees a longjmp. It does not know the
// variant that a fortified Lua calls: each error left calls behind, until they
// ran over what lies behind them in the tool's own memory.
#include <setjmp.h>

void __longjmp_chk(jmp_buf env, int value);

void __longjmp_chk(jmp_buf env, int value) {
  longjmp(env, value);
}
