// SPDX-License-Identifier: MIT
// The System V ABI on x86-64.
#if defined(__x86_64__) && !defined(GR_UCONTEXT)

    .text

// Where a new context begins: the argument of gr_context_begin is on top of its
// stack. (The swap is in context.h.)
    .globl gr_switch_entry
    .hidden gr_switch_entry
    .type gr_switch_entry, @function
gr_switch_entry:
    .cfi_startproc
    .cfi_undefined rip
    popq %rdi
    xorl %ebp, %ebp
    call gr_context_begin
    ud2
    .cfi_endproc
    .size gr_switch_entry, .-gr_switch_entry

#endif
    .section .note.GNU-stack,"",%progbits
