// SPDX-License-Identifier: MIT
// The register swap for the System V ABI on x86-64.
#if defined(__x86_64__) && !defined(GR_UCONTEXT)

    .text

// void gr_switch_stacks(void **from_sp, void *to_sp)
    .globl gr_switch_stacks
    .hidden gr_switch_stacks
    .type gr_switch_stacks, @function
    .p2align 4
gr_switch_stacks:
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .cfi_endproc
    .size gr_switch_stacks, .-gr_switch_stacks

// Where a new context begins: rbx holds the argument of gr_context_begin.
    .globl gr_switch_entry
    .hidden gr_switch_entry
    .type gr_switch_entry, @function
gr_switch_entry:
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp, %ebp
    movq %rbx, %rdi
    call gr_context_begin
    ud2
    .cfi_endproc
    .size gr_switch_entry, .-gr_switch_entry

#endif
    .section .note.GNU-stack,"",%progbits
