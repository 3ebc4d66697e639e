/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glibc's own <bits/wordsize.h> takes a target that it does not know for a 32-bit one,
 * and <stdint.h> would then make uintptr_t too small for a BPF pointer.
 */
#define __WORDSIZE 64
#define __WORDSIZE_TIME64_COMPAT32 0
#define __SYSCALL_WORDSIZE 64
