/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs whose context holds the arguments of a traced function: PT_REGS_* name them in
 * a struct pt_regs (kprobes, uprobes), BPF_PROG, BPF_KPROBE and the like give a program a
 * typed parameter list.
 *
 * The architecture is __TARGET_ARCH_x86, _arm64, _s390, _riscv, _loongarch, _powerpc or
 * _arm, which osmia's compiler driver defines.
 */
#ifndef __BPF_TRACING_H__
#define __BPF_TRACING_H__

#include "bpf_helpers.h"
#include "bpf_core_read.h"

/*
 * Per architecture: registers of the C calling convention (PARM1…8, RET the return
 * address, FP, RC the return value, SP, IP) and of system calls (_SYSCALL where they
 * differ). PTREGS is the structure that holds them: some kernels keep what user space
 * may see in a structure of its own at the start of struct pt_regs.
 */
#if defined(__TARGET_ARCH_x86)

/* <asm/ptrace.h> has the historical names, the kernel's own structure short ones. */
#if defined(__KERNEL__) || defined(__VMLINUX_H__)
#define ___PT_R(name) name
#else
#define ___PT_R(name) r##name
#endif
#define ___PT_PARM1 ___PT_R(di)
#define ___PT_PARM2 ___PT_R(si)
#define ___PT_PARM3 ___PT_R(dx)
#define ___PT_PARM4 ___PT_R(cx)
#define ___PT_PARM5 r8
#define ___PT_PARM6 r9
#define ___PT_SYSCALL_PARM4 r10
#define ___PT_RET ___PT_R(sp)
#define ___PT_FP ___PT_R(bp)
#define ___PT_RC ___PT_R(ax)
#define ___PT_SP ___PT_R(sp)
#define ___PT_IP ___PT_R(ip)
#define ___PT_SYSCALL_WRAPPER 1

#elif defined(__TARGET_ARCH_arm64)

#define ___PTREGS struct user_pt_regs
#define ___PT_PARM1 regs[0]
#define ___PT_PARM2 regs[1]
#define ___PT_PARM3 regs[2]
#define ___PT_PARM4 regs[3]
#define ___PT_PARM5 regs[4]
#define ___PT_PARM6 regs[5]
#define ___PT_PARM7 regs[6]
#define ___PT_PARM8 regs[7]
#define ___PT_RET regs[30]
#define ___PT_FP regs[29]
#define ___PT_RC regs[0]
#define ___PT_SP sp
#define ___PT_IP pc
#define ___PT_SYSCALL_WRAPPER 1
#define ___PT_ORIGINAL orig_x0

#elif defined(__TARGET_ARCH_s390)

#define ___PTREGS struct user_pt_regs
#define ___PT_PARM1 gprs[2]
#define ___PT_PARM2 gprs[3]
#define ___PT_PARM3 gprs[4]
#define ___PT_PARM4 gprs[5]
#define ___PT_PARM5 gprs[6]
#define ___PT_SYSCALL_PARM6 gprs[7]
#define ___PT_RET gprs[14]
#define ___PT_FP gprs[11]
#define ___PT_RC gprs[2]
#define ___PT_SP gprs[15]
#define ___PT_IP psw.addr
#define ___PT_SYSCALL_WRAPPER 1
#define ___PT_ORIGINAL orig_gpr2

#elif defined(__TARGET_ARCH_riscv)

#define ___PTREGS struct user_regs_struct
#define ___PT_PARM1 a0
#define ___PT_PARM2 a1
#define ___PT_PARM3 a2
#define ___PT_PARM4 a3
#define ___PT_PARM5 a4
#define ___PT_PARM6 a5
#define ___PT_PARM7 a6
#define ___PT_PARM8 a7
#define ___PT_RET ra
#define ___PT_FP s0
#define ___PT_RC a0
#define ___PT_SP sp
#define ___PT_IP pc
#define ___PT_SYSCALL_WRAPPER 1
#define ___PT_ORIGINAL orig_a0

#elif defined(__TARGET_ARCH_loongarch)

#define ___PT_PARM1 regs[4]
#define ___PT_PARM2 regs[5]
#define ___PT_PARM3 regs[6]
#define ___PT_PARM4 regs[7]
#define ___PT_PARM5 regs[8]
#define ___PT_PARM6 regs[9]
#define ___PT_PARM7 regs[10]
#define ___PT_PARM8 regs[11]
#define ___PT_RET regs[1]
#define ___PT_FP regs[22]
#define ___PT_RC regs[4]
#define ___PT_SP regs[3]
#define ___PT_IP csr_era
#define ___PT_ORIGINAL orig_a0

#elif defined(__TARGET_ARCH_powerpc)

#define ___PT_PARM1 gpr[3]
#define ___PT_PARM2 gpr[4]
#define ___PT_PARM3 gpr[5]
#define ___PT_PARM4 gpr[6]
#define ___PT_PARM5 gpr[7]
#define ___PT_PARM6 gpr[8]
#define ___PT_PARM7 gpr[9]
#define ___PT_PARM8 gpr[10]
#define ___PT_RET link
#define ___PT_FP gpr[31]
#define ___PT_RC gpr[3]
#define ___PT_SP gpr[1]
#define ___PT_IP nip
#define ___PT_ORIGINAL orig_gpr3
#define ___PT_SYSCALL_WRAPPER 1

#elif defined(__TARGET_ARCH_arm)

#define ___PT_PARM1 uregs[0]
#define ___PT_PARM2 uregs[1]
#define ___PT_PARM3 uregs[2]
#define ___PT_PARM4 uregs[3]
#define ___PT_SYSCALL_PARM5 uregs[4]
#define ___PT_SYSCALL_PARM6 uregs[5]
#define ___PT_RET uregs[14]
#define ___PT_FP uregs[11]
#define ___PT_RC uregs[0]
#define ___PT_SP uregs[13]
#define ___PT_IP uregs[15]

#else

#define ___PT_NO_ARCH 1

#endif

struct pt_regs;

#ifdef ___PT_NO_ARCH

#define ___PT_MISSING \
	({ _Pragma("GCC error \"bpf_tracing.h needs __TARGET_ARCH_<name>\"") 0ull; })
#define ___bpf_register(x, name) ___PT_MISSING
#define ___bpf_register_core(x, name) ___PT_MISSING
#define ___bpf_first_syscall(x) ___PT_MISSING
#define ___bpf_first_syscall_core(x) ___PT_MISSING

#else

#ifndef ___PTREGS
#define ___PTREGS struct pt_regs
#endif

/* What the calling convention keeps on the stack has no register to name. */
#define ___PT_ON_STACK ___this_argument_is_not_in_a_register
#ifndef ___PT_PARM5
#define ___PT_PARM5 ___PT_ON_STACK
#endif
#ifndef ___PT_PARM6
#define ___PT_PARM6 ___PT_ON_STACK
#endif
#ifndef ___PT_PARM7
#define ___PT_PARM7 ___PT_ON_STACK
#endif
#ifndef ___PT_PARM8
#define ___PT_PARM8 ___PT_ON_STACK
#endif

#ifndef ___PT_SYSCALL_PARM4
#define ___PT_SYSCALL_PARM4 ___PT_PARM4
#endif
#ifndef ___PT_SYSCALL_PARM5
#define ___PT_SYSCALL_PARM5 ___PT_PARM5
#endif
#ifndef ___PT_SYSCALL_PARM6
#define ___PT_SYSCALL_PARM6 ___PT_PARM6
#endif

#define ___bpf_register(x, name) (((const ___PTREGS *) (x))->name)
#define ___bpf_register_core(x, name) BPF_CORE_READ((const ___PTREGS *) (x), name)

/*
 * The first argument's register is the return value's too on some architectures: a system
 * call finds it in a copy made at entry, which only struct pt_regs has and <asm/ptrace.h>
 * need not show.
 */
#ifdef ___PT_ORIGINAL
struct pt_regs___original {
	unsigned long ___PT_ORIGINAL;
} __attribute__((preserve_access_index));
#define ___bpf_first_syscall_core(x) \
	BPF_CORE_READ((const struct pt_regs___original *) (x), ___PT_ORIGINAL)
#define ___bpf_first_syscall(x) ___bpf_first_syscall_core(x)
#else
#define ___bpf_first_syscall(x) ___bpf_register(x, ___PT_PARM1)
#define ___bpf_first_syscall_core(x) ___bpf_register_core(x, ___PT_PARM1)
#endif

#endif

/* Registers of a context that the program may read directly. */
#define PT_REGS_PARM1(x) ___bpf_register(x, ___PT_PARM1)
#define PT_REGS_PARM2(x) ___bpf_register(x, ___PT_PARM2)
#define PT_REGS_PARM3(x) ___bpf_register(x, ___PT_PARM3)
#define PT_REGS_PARM4(x) ___bpf_register(x, ___PT_PARM4)
#define PT_REGS_PARM5(x) ___bpf_register(x, ___PT_PARM5)
#define PT_REGS_PARM6(x) ___bpf_register(x, ___PT_PARM6)
#define PT_REGS_PARM7(x) ___bpf_register(x, ___PT_PARM7)
#define PT_REGS_PARM8(x) ___bpf_register(x, ___PT_PARM8)
#define PT_REGS_RET(x) ___bpf_register(x, ___PT_RET)
#define PT_REGS_FP(x) ___bpf_register(x, ___PT_FP)
#define PT_REGS_RC(x) ___bpf_register(x, ___PT_RC)
#define PT_REGS_SP(x) ___bpf_register(x, ___PT_SP)
#define PT_REGS_IP(x) ___bpf_register(x, ___PT_IP)

/* The same through a checked, relocated read, for a struct pt_regs elsewhere. */
#define PT_REGS_PARM1_CORE(x) ___bpf_register_core(x, ___PT_PARM1)
#define PT_REGS_PARM2_CORE(x) ___bpf_register_core(x, ___PT_PARM2)
#define PT_REGS_PARM3_CORE(x) ___bpf_register_core(x, ___PT_PARM3)
#define PT_REGS_PARM4_CORE(x) ___bpf_register_core(x, ___PT_PARM4)
#define PT_REGS_PARM5_CORE(x) ___bpf_register_core(x, ___PT_PARM5)
#define PT_REGS_PARM6_CORE(x) ___bpf_register_core(x, ___PT_PARM6)
#define PT_REGS_PARM7_CORE(x) ___bpf_register_core(x, ___PT_PARM7)
#define PT_REGS_PARM8_CORE(x) ___bpf_register_core(x, ___PT_PARM8)
#define PT_REGS_RET_CORE(x) ___bpf_register_core(x, ___PT_RET)
#define PT_REGS_FP_CORE(x) ___bpf_register_core(x, ___PT_FP)
#define PT_REGS_RC_CORE(x) ___bpf_register_core(x, ___PT_RC)
#define PT_REGS_SP_CORE(x) ___bpf_register_core(x, ___PT_SP)
#define PT_REGS_IP_CORE(x) ___bpf_register_core(x, ___PT_IP)

/* Arguments of a system call; x is what PT_REGS_SYSCALL_REGS() gives. */
#define PT_REGS_PARM1_SYSCALL(x) ___bpf_first_syscall(x)
#define PT_REGS_PARM2_SYSCALL(x) ___bpf_register(x, ___PT_PARM2)
#define PT_REGS_PARM3_SYSCALL(x) ___bpf_register(x, ___PT_PARM3)
#define PT_REGS_PARM4_SYSCALL(x) ___bpf_register(x, ___PT_SYSCALL_PARM4)
#define PT_REGS_PARM5_SYSCALL(x) ___bpf_register(x, ___PT_SYSCALL_PARM5)
#define PT_REGS_PARM6_SYSCALL(x) ___bpf_register(x, ___PT_SYSCALL_PARM6)
#define PT_REGS_PARM7_SYSCALL(x) ___bpf_register(x, ___PT_PARM7)
#define PT_REGS_PARM1_CORE_SYSCALL(x) ___bpf_first_syscall_core(x)
#define PT_REGS_PARM2_CORE_SYSCALL(x) ___bpf_register_core(x, ___PT_PARM2)
#define PT_REGS_PARM3_CORE_SYSCALL(x) ___bpf_register_core(x, ___PT_PARM3)
#define PT_REGS_PARM4_CORE_SYSCALL(x) ___bpf_register_core(x, ___PT_SYSCALL_PARM4)
#define PT_REGS_PARM5_CORE_SYSCALL(x) ___bpf_register_core(x, ___PT_SYSCALL_PARM5)
#define PT_REGS_PARM6_CORE_SYSCALL(x) ___bpf_register_core(x, ___PT_SYSCALL_PARM6)
#define PT_REGS_PARM7_CORE_SYSCALL(x) ___bpf_register_core(x, ___PT_PARM7)

/*
 * Since 4.17 (x86-64, arm64, s390; later riscv, powerpc) a system call's function gets
 * a pointer to the caller's registers as its only argument.
 */
#ifdef ___PT_SYSCALL_WRAPPER
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *) PT_REGS_PARM1(ctx))
#else
#define PT_REGS_SYSCALL_REGS(ctx) (ctx)
#endif

/* The return address of the probed function: in a link register or on the stack. */
#if defined(__TARGET_ARCH_x86)
#define BPF_KPROBE_READ_RET_IP(ip, ctx) \
	({ bpf_probe_read_kernel(&(ip), sizeof(ip), (void *) PT_REGS_RET(ctx)); })
#define BPF_KRETPROBE_READ_RET_IP(ip, ctx) \
	({ bpf_probe_read_kernel(&(ip), sizeof(ip), (void *) (PT_REGS_FP(ctx) + sizeof(ip))); })
#else
#define BPF_KPROBE_READ_RET_IP(ip, ctx) ({ (ip) = PT_REGS_RET(ctx); })
#define BPF_KRETPROBE_READ_RET_IP BPF_KPROBE_READ_RET_IP
#endif

/*
 * Typed parameter lists. The program that the loader sees, name(ctx), calls an inlined
 * function with the parameters as written, whose arguments are read from the context.
 * `int name(ctx)` is declared first: what stands before the macro is the return type.
 *
 * Arguments are passed as void pointers, which convert to integers and pointers of any
 * type with a warning that is of no use here.
 */
#define ___bpf_program(name, context_type, read_arguments, args...)           \
	name(context_type *ctx);                                              \
	static __always_inline typeof(name(0)) ____##name(context_type *ctx, ##args); \
	typeof(name(0)) name(context_type *ctx)                               \
	{                                                                     \
		_Pragma("GCC diagnostic push")                                \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")        \
		return ____##name(___bpf_apply(read_arguments, ___bpf_narg(args))(args)); \
		_Pragma("GCC diagnostic pop")                                 \
	}                                                                     \
	static __always_inline typeof(name(0)) ____##name(context_type *ctx, ##args)

/* Context: an array of 64-bit arguments (tp_btf, fentry, fexit, lsm, struct_ops, iter). */
#define ___bpf_slots0() ctx
#define ___bpf_slots1(x) ___bpf_slots0(), (void *) ctx[0]
#define ___bpf_slots2(x, rest...) ___bpf_slots1(rest), (void *) ctx[1]
#define ___bpf_slots3(x, rest...) ___bpf_slots2(rest), (void *) ctx[2]
#define ___bpf_slots4(x, rest...) ___bpf_slots3(rest), (void *) ctx[3]
#define ___bpf_slots5(x, rest...) ___bpf_slots4(rest), (void *) ctx[4]
#define ___bpf_slots6(x, rest...) ___bpf_slots5(rest), (void *) ctx[5]
#define ___bpf_slots7(x, rest...) ___bpf_slots6(rest), (void *) ctx[6]
#define ___bpf_slots8(x, rest...) ___bpf_slots7(rest), (void *) ctx[7]
#define ___bpf_slots9(x, rest...) ___bpf_slots8(rest), (void *) ctx[8]
#define ___bpf_slots10(x, rest...) ___bpf_slots9(rest), (void *) ctx[9]
#define ___bpf_slots11(x, rest...) ___bpf_slots10(rest), (void *) ctx[10]
#define ___bpf_slots12(x, rest...) ___bpf_slots11(rest), (void *) ctx[11]
#define BPF_PROG(name, args...) \
	___bpf_program(name, unsigned long long, ___bpf_slots, ##args)

/* Context: registers at a function's entry (kprobe, uprobe). */
#define ___bpf_parameters0() ctx
#define ___bpf_parameters1(x) ___bpf_parameters0(), (void *) PT_REGS_PARM1(ctx)
#define ___bpf_parameters2(x, rest...) ___bpf_parameters1(rest), (void *) PT_REGS_PARM2(ctx)
#define ___bpf_parameters3(x, rest...) ___bpf_parameters2(rest), (void *) PT_REGS_PARM3(ctx)
#define ___bpf_parameters4(x, rest...) ___bpf_parameters3(rest), (void *) PT_REGS_PARM4(ctx)
#define ___bpf_parameters5(x, rest...) ___bpf_parameters4(rest), (void *) PT_REGS_PARM5(ctx)
#define ___bpf_parameters6(x, rest...) ___bpf_parameters5(rest), (void *) PT_REGS_PARM6(ctx)
#define ___bpf_parameters7(x, rest...) ___bpf_parameters6(rest), (void *) PT_REGS_PARM7(ctx)
#define ___bpf_parameters8(x, rest...) ___bpf_parameters7(rest), (void *) PT_REGS_PARM8(ctx)
#define BPF_KPROBE(name, args...) \
	___bpf_program(name, struct pt_regs, ___bpf_parameters, ##args)
#define BPF_UPROBE(name, args...) BPF_KPROBE(name, ##args)

/* Context: registers at a function's return; the only argument is the return value. */
#define ___bpf_result0() ctx
#define ___bpf_result1(x) ctx, (void *) PT_REGS_RC(ctx)
#define BPF_KRETPROBE(name, args...) \
	___bpf_program(name, struct pt_regs, ___bpf_result, ##args)
#define BPF_URETPROBE(name, args...) BPF_KRETPROBE(name, ##args)

/*
 * A kprobe on a system call's function (SEC("ksyscall/…")). The loader says whether this
 * kernel passes the arguments in registers of their own or behind a pointer.
 */
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;

#define ___bpf_direct0() ctx
#define ___bpf_direct1(x) ___bpf_direct0(), (void *) PT_REGS_PARM1_SYSCALL(regs)
#define ___bpf_direct2(x, rest...) ___bpf_direct1(rest), (void *) PT_REGS_PARM2_SYSCALL(regs)
#define ___bpf_direct3(x, rest...) ___bpf_direct2(rest), (void *) PT_REGS_PARM3_SYSCALL(regs)
#define ___bpf_direct4(x, rest...) ___bpf_direct3(rest), (void *) PT_REGS_PARM4_SYSCALL(regs)
#define ___bpf_direct5(x, rest...) ___bpf_direct4(rest), (void *) PT_REGS_PARM5_SYSCALL(regs)
#define ___bpf_direct6(x, rest...) ___bpf_direct5(rest), (void *) PT_REGS_PARM6_SYSCALL(regs)
#define ___bpf_wrapped0() ctx
#define ___bpf_wrapped1(x) ___bpf_wrapped0(), (void *) PT_REGS_PARM1_CORE_SYSCALL(regs)
#define ___bpf_wrapped2(x, rest...) ___bpf_wrapped1(rest), (void *) PT_REGS_PARM2_CORE_SYSCALL(regs)
#define ___bpf_wrapped3(x, rest...) ___bpf_wrapped2(rest), (void *) PT_REGS_PARM3_CORE_SYSCALL(regs)
#define ___bpf_wrapped4(x, rest...) ___bpf_wrapped3(rest), (void *) PT_REGS_PARM4_CORE_SYSCALL(regs)
#define ___bpf_wrapped5(x, rest...) ___bpf_wrapped4(rest), (void *) PT_REGS_PARM5_CORE_SYSCALL(regs)
#define ___bpf_wrapped6(x, rest...) ___bpf_wrapped5(rest), (void *) PT_REGS_PARM6_CORE_SYSCALL(regs)
#define BPF_KSYSCALL(name, args...)                                           \
	name(struct pt_regs *ctx);                                            \
	static __always_inline typeof(name(0)) ____##name(struct pt_regs *ctx, ##args); \
	typeof(name(0)) name(struct pt_regs *ctx)                             \
	{                                                                     \
		struct pt_regs *regs = LINUX_HAS_SYSCALL_WRAPPER              \
					       ? (struct pt_regs *) PT_REGS_PARM1(ctx) \
					       : ctx;                         \
		_Pragma("GCC diagnostic push")                                \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")        \
		if (LINUX_HAS_SYSCALL_WRAPPER)                                \
			return ____##name(___bpf_apply(___bpf_wrapped, ___bpf_narg(args))(args)); \
		return ____##name(___bpf_apply(___bpf_direct, ___bpf_narg(args))(args)); \
		_Pragma("GCC diagnostic pop")                                 \
	}                                                                     \
	static __always_inline typeof(name(0)) ____##name(struct pt_regs *ctx, ##args)
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL

/*
 * BPF_PROG for functions that take structures by value, which occupy one or two slots:
 * types and names alternate, BPF_PROG2(name, struct pair, p, int, n). Up to 6 parameters.
 */
#define ___bpf_slot_count(type) ((sizeof(type) + 7) / 8)

/* An argument smaller than its slot is the slot's value cut off, whatever the byte order. */
#define ___bpf_slot_value(type, slot)                                         \
	({                                                                    \
		union {                                                       \
			type value;                                           \
			unsigned char one;                                    \
			unsigned short two;                                   \
			unsigned int four;                                    \
			unsigned long long eight[2];                          \
		} ___argument;                                                \
		if (sizeof(type) == 1)                                        \
			___argument.one = ctx[slot];                          \
		else if (sizeof(type) == 2)                                   \
			___argument.two = ctx[slot];                          \
		else if (sizeof(type) == 4)                                   \
			___argument.four = ctx[slot];                         \
		else                                                          \
			___argument.eight[0] = ctx[slot];                     \
		if (sizeof(type) > 8)                                         \
			___argument.eight[1] = ctx[(slot) + 1];               \
		___argument.value;                                            \
	})

#define ___bpf_declare0()
#define ___bpf_declare2(t, n) , t n
#define ___bpf_declare4(t, n, rest...) , t n ___bpf_declare2(rest)
#define ___bpf_declare6(t, n, rest...) , t n ___bpf_declare4(rest)
#define ___bpf_declare8(t, n, rest...) , t n ___bpf_declare6(rest)
#define ___bpf_declare10(t, n, rest...) , t n ___bpf_declare8(rest)
#define ___bpf_declare12(t, n, rest...) , t n ___bpf_declare10(rest)
#define ___bpf_values0(slot)
#define ___bpf_values2(slot, t, n) , ___bpf_slot_value(t, slot)
#define ___bpf_values4(slot, t, n, rest...) \
	, ___bpf_slot_value(t, slot) ___bpf_values2((slot) + ___bpf_slot_count(t), rest)
#define ___bpf_values6(slot, t, n, rest...) \
	, ___bpf_slot_value(t, slot) ___bpf_values4((slot) + ___bpf_slot_count(t), rest)
#define ___bpf_values8(slot, t, n, rest...) \
	, ___bpf_slot_value(t, slot) ___bpf_values6((slot) + ___bpf_slot_count(t), rest)
#define ___bpf_values10(slot, t, n, rest...) \
	, ___bpf_slot_value(t, slot) ___bpf_values8((slot) + ___bpf_slot_count(t), rest)
#define ___bpf_values12(slot, t, n, rest...) \
	, ___bpf_slot_value(t, slot) ___bpf_values10((slot) + ___bpf_slot_count(t), rest)
#define ___bpf_declare(args...) ___bpf_apply(___bpf_declare, ___bpf_narg(args))(args)
#define ___bpf_values(args...) ___bpf_apply(___bpf_values, ___bpf_narg(args))(0, ##args)

#define BPF_PROG2(name, args...)                                              \
	name(unsigned long long *ctx);                                        \
	static __always_inline typeof(name(0))                                \
		____##name(unsigned long long *ctx ___bpf_declare(args));     \
	typeof(name(0)) name(unsigned long long *ctx)                         \
	{                                                                     \
		return ____##name(ctx ___bpf_values(args));                   \
	}                                                                     \
	static __always_inline typeof(name(0))                                \
		____##name(unsigned long long *ctx ___bpf_declare(args))

#endif /* __BPF_TRACING_H__ */
