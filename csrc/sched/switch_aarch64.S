// SPDX-License-Identifier: MIT
// The register swap for the AAPCS64 ABI.
#if defined(__aarch64__) && !defined(GR_UCONTEXT)

    .text

// void gr_switch_stacks(void **from_sp, void *to_sp)
    .globl gr_switch_stacks
    .hidden gr_switch_stacks
    .type gr_switch_stacks, %function
    .p2align 4
gr_switch_stacks:
    .cfi_startproc
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .cfi_endproc
    .size gr_switch_stacks, .-gr_switch_stacks

// Where a new context begins: x19 holds the argument of gr_context_begin.
    .globl gr_switch_entry
    .hidden gr_switch_entry
    .type gr_switch_entry, %function
gr_switch_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x29, xzr
    mov x30, xzr
    mov x0, x19
    bl gr_context_begin
    brk #1
    .cfi_endproc
    .size gr_switch_entry, .-gr_switch_entry

#endif
    .section .note.GNU-stack,"",%progbits
