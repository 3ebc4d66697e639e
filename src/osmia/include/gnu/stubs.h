/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glibc's own <gnu/stubs.h> picks a file by the host's architecture macros, which the
 * BPF target does not define, and so asks for a 32-bit C library that is rarely
 * installed. A BPF program links no C library: there are no stubs.
 */
