/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every BPF program needs: sections, map definitions, the helpers, and a few idioms
 * that the compiler has to be told about.
 *
 * Include <linux/bpf.h> or "vmlinux.h" first when you use their types.
 */
#ifndef __BPF_HELPERS__
#define __BPF_HELPERS__

#include "bpf_helper_defs.h"

#ifndef NULL
#define NULL ((void *) 0)
#endif

#define KERNEL_VERSION(major, minor, patch) \
	(((major) << 16) + ((minor) << 8) + ((patch) > 255 ? 255 : (patch)))

/* vmlinux.h or a kernel header may have brought forms that need more of the kernel. */
#undef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)

#undef container_of
#define container_of(pointer, type, member) \
	((type *) ((char *) (pointer) - offsetof(type, member)))

/*
 * Attributes of functions and variables.
 */

/* Put a program, map or variable into a section, and keep it there although nothing calls it. */
#define SEC(name)                                                             \
	_Pragma("GCC diagnostic push")                                        \
	_Pragma("GCC diagnostic ignored \"-Wignored-attributes\"")            \
	__attribute__((section(name), used))                                  \
	_Pragma("GCC diagnostic pop")

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

/* Which way a condition mostly goes. */
#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#endif
#ifndef unlikely
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

/* Global for the compiler and the static linker, static for the verifier. */
#define __hidden __attribute__((visibility("hidden")))

/* An extern that the loader fills in: from the kernel's configuration, from its symbols. */
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))

/* Kinds of pointers in map values. */
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __uptr __attribute__((btf_type_tag("uptr")))

/* What a global function tells the verifier of its argument, since 6.8. */
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#define __arg_nullable __attribute__((btf_decl_tag("arg:nullable")))
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))
#define __arg_untrusted __attribute__((btf_decl_tag("arg:untrusted")))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))

/* On a program: osmia puts it into that slot of a prog array at load: __tail(calls, 3). */
#define ___bpf_tail(map, key) __attribute__((btf_decl_tag("tail:" #map "/" #key)))
#define __tail(map, key) ___bpf_tail(map, key)

/*
 * Members of a map definition in SEC(".maps"): the loader reads numbers and types from
 * the BTF of the structure, whose members hold nothing at run time.
 */
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]
/* For values of more than 31 bits. */
#define __ulong(name, value) \
	enum { ___bpf_concat(__osmia_ulong_, __COUNTER__) = (value) } name

enum libbpf_pin_type {
	LIBBPF_PIN_NONE,
	LIBBPF_PIN_BY_NAME, /* under the object's pin directory, by the map's name */
};

enum libbpf_tristate {
	TRI_NO = 0,
	TRI_YES = 1,
	TRI_MODULE = 2,
};

/* Whether the kernel has a weak __ksym. */
#define bpf_ksym_exists(symbol)                                               \
	({                                                                    \
		_Static_assert(!__builtin_constant_p(!!(symbol)),             \
			       #symbol " should be marked as __weak");        \
		!!(symbol);                                                   \
	})

/*
 * The optimiser.
 */

#ifndef barrier
#define barrier() __asm__ volatile("" ::: "memory")
#endif

/* Let the compiler forget what it knows of a variable, so that a check on it stays. */
#ifndef barrier_var
#define barrier_var(variable) __asm__ volatile("" : "+r"(variable))
#endif

#ifndef __bpf_unreachable
#define __bpf_unreachable() __builtin_trap()
#endif

/*
 * Macros over argument lists.
 */

#define ___bpf_paste(a, b) a##b
#define ___bpf_concat(a, b) ___bpf_paste(a, b)
#define ___bpf_apply(macro, n) ___bpf_concat(macro, n)

/* The number of arguments, 0 to 16. */
#define ___bpf_nth(_, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, n, ...) n
#define ___bpf_narg(...) \
	___bpf_nth(_, ##__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/*
 * Store the arguments one by one: an initialiser of constants would become a copy of
 * an anonymous read-only section.
 */
#define ___bpf_fill0(array, at)
#define ___bpf_fill1(array, at, x) (array)[at] = (unsigned long long) (x)
#define ___bpf_fill2(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill1(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill3(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill2(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill4(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill3(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill5(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill4(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill6(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill5(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill7(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill6(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill8(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill7(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill9(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill8(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill10(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill9(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill11(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill10(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill12(array, at, x, ...) ___bpf_fill1(array, at, x); ___bpf_fill11(array, (at) + 1, __VA_ARGS__)
#define ___bpf_fill(array, ...) ___bpf_apply(___bpf_fill, ___bpf_narg(__VA_ARGS__))(array, 0, ##__VA_ARGS__)

/*
 * Printing. A format is a constant in .rodata; define BPF_NO_GLOBAL_DATA for kernels
 * before 5.2, which have no global data, and it is built on the stack.
 */
#ifdef BPF_NO_GLOBAL_DATA
#define BPF_PRINTK_FMT_MOD
#else
#define BPF_PRINTK_FMT_MOD static const
#endif

#define __bpf_printk(fmt, args...)                                            \
	({                                                                    \
		BPF_PRINTK_FMT_MOD char ____format[] = fmt;                   \
		bpf_trace_printk(____format, sizeof(____format), ##args);     \
	})

#define __bpf_vprintk(fmt, args...)                                           \
	({                                                                    \
		static const char ____format[] = fmt;                         \
		unsigned long long ____values[___bpf_narg(args)];             \
		___bpf_fill(____values, ##args);                              \
		bpf_trace_vprintk(____format, sizeof(____format), ____values, \
				  sizeof(____values));                        \
	})

/* The old helper takes three arguments; more need bpf_trace_vprintk, since 5.16. */
#define ___bpf_pick_printk(...)                                               \
	___bpf_nth(_, ##__VA_ARGS__, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, \
		   __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, \
		   __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, \
		   __bpf_vprintk, __bpf_vprintk, __bpf_printk, __bpf_printk,  \
		   __bpf_printk, __bpf_printk)

/* Print a line to the trace pipe. */
#define bpf_printk(fmt, args...) ___bpf_pick_printk(args)(fmt, ##args)

/* Print into the output of an iterator; up to 12 arguments. */
#define BPF_SEQ_PRINTF(seq, fmt, args...)                                     \
	({                                                                    \
		static const char ____format[] = fmt;                         \
		unsigned long long ____values[___bpf_narg(args)];             \
		___bpf_fill(____values, ##args);                              \
		bpf_seq_printf(seq, ____format, sizeof(____format),           \
			       ____values, sizeof(____values));               \
	})

/* Print into a buffer; up to 12 arguments. */
#define BPF_SNPRINTF(out, out_size, fmt, args...)                             \
	({                                                                    \
		static const char ____format[] = fmt;                         \
		unsigned long long ____values[___bpf_narg(args)];             \
		___bpf_fill(____values, ##args);                              \
		bpf_snprintf(out, out_size, ____format,                       \
			     ____values, sizeof(____values));                 \
	})

/* Print to a stream of the program (1: stdout, 2: stderr), since 6.17. */
extern int bpf_stream_vprintk_impl(int stream_id, const char *fmt__str, const void *args,
				   __u32 len__sz, void *aux__prog) __weak __ksym;

#define bpf_stream_printk(stream_id, fmt, args...)                            \
	({                                                                    \
		static const char ____format[] = fmt;                         \
		unsigned long long ____values[___bpf_narg(args)];             \
		___bpf_fill(____values, ##args);                              \
		bpf_stream_vprintk_impl(stream_id, ____format, ____values,    \
					sizeof(____values), NULL);            \
	})

/*
 * Control flow.
 */

/*
 * A tail call whose slot and map are constants at this very call instruction, so that
 * the JIT emits a direct jump. The compiler may merge plain bpf_tail_call()s and load
 * the slot from a variable.
 */
static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const __u32 slot)
{
	if (!__builtin_constant_p(slot))
		__bpf_unreachable();
	__asm__ volatile("r1 = %[ctx]\n\t"
			 "r2 = %[map]\n\t"
			 "r3 = %[slot]\n\t"
			 "call 12"
			 :
			 : [ctx] "r"(ctx), [map] "r"(map), [slot] "i"(slot)
			 : "r0", "r1", "r2", "r3", "r4", "r5");
}

/* Open-coded iterators, since 6.4. The structure comes from <linux/bpf.h> or vmlinux.h. */
struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

/*
 * The head of a `for`: an iterator that is destroyed however its scope is left. The second
 * variable is there for what its initialiser does once, to create the iterator and to
 * name the destructor: clang emits no BTF for a function that only cleanup() names.
 */
#define ___bpf_iterator(type, args...)                                        \
	struct bpf_iter_##type ___iterator                                    \
		__attribute__((aligned(8), cleanup(bpf_iter_##type##_destroy))), \
	       *___created __attribute__((unused)) =                          \
		(bpf_iter_##type##_new(&___iterator, ##args),                 \
		 (void) bpf_iter_##type##_destroy, (void *) 0)

/* Run the loop body for each element, `cur` pointing to it. */
#ifndef bpf_for_each
#define bpf_for_each(type, cur, args...)                                      \
	for (___bpf_iterator(type, ##args);                                   \
	     ((cur) = bpf_iter_##type##_next(&___iterator));)
#endif

/* Run the loop body with i = start … end - 1; the verifier sees i within these. */
#ifndef bpf_for
#define bpf_for(i, start, end)                                                \
	for (___bpf_iterator(num, (start), (end)); ({                         \
		     int *___next = bpf_iter_num_next(&___iterator);          \
		     (___next ? ((i) = *___next, (i) >= (start) && (i) < (end)) \
			      : ((i) = 0, 0));                                \
	     });)
#endif

/* Run the loop body n times. */
#ifndef bpf_repeat
#define bpf_repeat(n)                                                         \
	for (___bpf_iterator(num, 0, (n)); bpf_iter_num_next(&___iterator);)
#endif

#endif /* __BPF_HELPERS__ */
