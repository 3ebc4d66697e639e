/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory order between CPUs, by the names of the kernel's memory model
 * (Documentation/memory-barriers.txt).
 *
 * Relaxed operations work everywhere. Fully ordered read-modify-write operations need
 * 5.12 and -mcpu=v3. Acquire and release are single instructions where compiler and CPU
 * have them (-mcpu=v4 with clang 20 or newer, kernel 6.15); else a full barrier beside a
 * plain access, which is stronger and slower.
 */
#ifndef __BPF_ATOMIC__
#define __BPF_ATOMIC__

#include "bpf_helpers.h"

/* The type of an expression without qualifiers, for what a register can hold. */
#define ___bpf_value_type(x)                                                  \
	typeof(_Generic((x),                                                  \
		unsigned char: (unsigned char) 0, signed char: (signed char) 0, \
		char: (char) 0, _Bool: (_Bool) 0,                             \
		unsigned short: (unsigned short) 0, short: (short) 0,         \
		unsigned int: (unsigned int) 0, int: 0,                       \
		unsigned long: 0ul, long: 0l,                                 \
		unsigned long long: 0ull, long long: 0ll,                     \
		default: (x)))

/* One access, neither torn, repeated nor left out by the compiler. */
#ifndef READ_ONCE
#define READ_ONCE(x) (*(const volatile typeof(x) *) &(x))
#endif
#ifndef WRITE_ONCE
#define WRITE_ONCE(x, value) ((void) (*(volatile typeof(x) *) &(x) = (value)))
#endif

/*
 * Orders every access before with every access after. BPF has no fence instruction; an
 * atomic operation that returns a value is one (memory-barriers.txt, "Atomic operations").
 */
#ifndef smp_mb
#define smp_mb()                                                              \
	({                                                                    \
		unsigned long long ___fence = 0;                              \
		unsigned long long ___old = __sync_fetch_and_add(&___fence, 0); \
		/* Unused, it would become an addition without result and order. */ \
		__asm__ volatile("" : : "r"(___old) : "memory");              \
	})
#endif

/* x86-64 keeps loads among themselves and stores among themselves in order. */
#ifndef smp_rmb
#if defined(__TARGET_ARCH_x86)
#define smp_rmb() barrier()
#define smp_wmb() barrier()
#else
#define smp_rmb() smp_mb()
#define smp_wmb() smp_mb()
#endif
#endif

/* No access after the load is seen before it. */
#ifndef smp_load_acquire
#ifdef __BPF_FEATURE_LOAD_ACQ_STORE_REL
#define smp_load_acquire(pointer) __atomic_load_n(pointer, __ATOMIC_ACQUIRE)
#else
#define smp_load_acquire(pointer)                                             \
	({                                                                    \
		___bpf_value_type(*(pointer)) ___loaded = READ_ONCE(*(pointer)); \
		smp_mb();                                                     \
		___loaded;                                                    \
	})
#endif
#endif

/* No access before the store is seen after it. */
#ifndef smp_store_release
#ifdef __BPF_FEATURE_LOAD_ACQ_STORE_REL
#define smp_store_release(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELEASE)
#else
#define smp_store_release(pointer, value)                                     \
	({                                                                    \
		smp_mb();                                                     \
		WRITE_ONCE(*(pointer), value);                                \
	})
#endif
#endif

/* Store `replacement` if *pointer is `expected`; the value found, fully ordered. */
#ifndef cmpxchg
#define cmpxchg(pointer, expected, replacement) \
	__sync_val_compare_and_swap(pointer, expected, replacement)
#endif

/* The same as a truth value; what was found instead goes to *expected. */
#ifndef try_cmpxchg
#define try_cmpxchg(pointer, expected, replacement)                           \
	({                                                                    \
		___bpf_value_type(*(pointer)) ___wanted = *(expected);        \
		___bpf_value_type(*(pointer)) ___found =                      \
			cmpxchg(pointer, ___wanted, replacement);             \
		*(expected) = ___found;                                       \
		___found == ___wanted;                                        \
	})
#endif

/* Store a value, return the old one, fully ordered. */
#ifndef xchg
#define xchg(pointer, value) __sync_lock_test_and_set(pointer, value)
#endif

#endif /* __BPF_ATOMIC__ */
