/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Macros around newer instructions and kfuncs. The kfuncs themselves are declared by
 * vmlinux.h or by the source; these add the types and jumps that C cannot express.
 */
#ifndef __BPF_EXPERIMENTAL__
#define __BPF_EXPERIMENTAL__

#include "bpf_helpers.h"
#include "bpf_core_read.h"

/*
 * may_goto: a jump that the kernel takes once a loop has run long enough (since 6.9), so
 * that the verifier accepts a loop whose bound it does not see. Compilers before clang 19
 * do not know the instruction; opcode 0xe5, then the 16-bit distance in slots.
 */
#ifdef __BPF_FEATURE_MAY_GOTO
#define ___bpf_may_goto(label) __asm__ volatile goto("may_goto %l[" #label "]" : : : : label)
#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ___bpf_may_goto(label)                                                \
	__asm__ volatile goto("1: .byte 0xe5\n\t.byte 0\n\t"                  \
			      ".long ((%l[" #label "] - 1b - 8) / 8) & 0xffff\n\t" \
			      ".short 0" : : : : label)
#else
#define ___bpf_may_goto(label)                                                \
	__asm__ volatile goto("1: .byte 0xe5\n\t.byte 0\n\t"                  \
			      ".long (((%l[" #label "] - 1b - 8) / 8) & 0xffff) << 16\n\t" \
			      ".short 0" : : : : label)
#endif

/* In a loop's condition: false once the kernel wants the loop to end. */
#define can_loop                                                              \
	({                                                                    \
		__label__ enough, done;                                       \
		int ___go_on = 1;                                             \
		___bpf_may_goto(enough);                                      \
		goto done;                                                    \
	enough:                                                               \
		___go_on = 0;                                                 \
	done:;                                                                \
		___go_on;                                                     \
	})

/* In a loop's body: leave the loop, or jump to a label, once the kernel wants it to end. */
#define ___bpf_leave(action)                                                  \
	({                                                                    \
		__label__ enough, done;                                       \
		___bpf_may_goto(enough);                                      \
		goto done;                                                    \
	enough:                                                               \
		action;                                                       \
	done:;                                                                \
	})
#define cond_break ___bpf_leave(break)
#define cond_break_label(label) ___bpf_leave(goto label)

/* Objects of the program's own types, since 6.2: NULL when there is no memory. */
extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym __weak;
extern void bpf_obj_drop_impl(void *kptr, void *meta) __ksym __weak;
#define bpf_obj_new(type) ((type *) bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))
#define bpf_obj_drop(object) bpf_obj_drop_impl(object, NULL)

/* End the program with a value from any depth, since 6.7. */
extern void bpf_throw(__u64 cookie) __ksym __weak;
#define bpf_assert(condition)                                                 \
	do {                                                                  \
		if (!(condition))                                             \
			bpf_throw(0);                                         \
	} while (0)

#endif /* __BPF_EXPERIMENTAL__ */
