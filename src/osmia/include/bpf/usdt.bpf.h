/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-level static tracepoints: marks that a program's author left in its code, with
 * arguments whose places (register, memory, constant) the compiler noted beside them.
 *
 * The loader parses those notes and describes the arguments in the maps below; here they
 * are read when the probe fires. Layouts and names are an agreement between object and
 * loader: these are libbpf's since 1.7. Older headers lack the index members, and lay the
 * rest out differently; a loader can tell by the BTF of struct __bpf_usdt_arg_spec.
 */
#ifndef __USDT_BPF_H__
#define __USDT_BPF_H__

#include "bpf_helpers.h"
#include "bpf_tracing.h"

/* How many different marks an object can be attached to; define it before for more. */
#ifndef BPF_USDT_MAX_SPEC_CNT
#define BPF_USDT_MAX_SPEC_CNT 256
#endif
/* … and places in code, one mark having several where it was inlined. Before 5.15 only. */
#ifndef BPF_USDT_MAX_IP_CNT
#define BPF_USDT_MAX_IP_CNT (4 * BPF_USDT_MAX_SPEC_CNT)
#endif
#define BPF_USDT_MAX_ARG_CNT 12

enum __bpf_usdt_arg_type {
	BPF_USDT_ARG_CONST,     /* val_off itself */
	BPF_USDT_ARG_REG,       /* a register */
	BPF_USDT_ARG_REG_DEREF, /* memory at register + val_off */
	BPF_USDT_ARG_SIB,       /* memory at register + (index << scale_bitshift) + val_off */
};

struct __bpf_usdt_arg_spec {
	__u64 val_off;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	enum __bpf_usdt_arg_type arg_type : 8;
	__u16 idx_reg_off : 12; /* bytes within struct pt_regs */
	__u16 scale_bitshift : 4;
	unsigned char __reserved : 8;
#else
	unsigned char __reserved : 8;
	__u16 idx_reg_off : 12;
	__u16 scale_bitshift : 4;
	enum __bpf_usdt_arg_type arg_type : 8;
#endif
	short reg_off; /* bytes within struct pt_regs */
	_Bool arg_signed;
	char arg_bitshift; /* 64 minus the argument's width in bits */
};

struct __bpf_usdt_spec {
	struct __bpf_usdt_arg_spec args[BPF_USDT_MAX_ARG_CNT];
	__u64 usdt_cookie; /* what the user gave when attaching */
	short arg_cnt;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPF_USDT_MAX_SPEC_CNT);
	__type(key, int);
	__type(value, struct __bpf_usdt_spec);
} __bpf_usdt_specs SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_USDT_MAX_IP_CNT);
	__type(key, long);
	__type(value, __u32);
} __bpf_usdt_ip_to_spec_id SEC(".maps") __weak;

extern const _Bool LINUX_HAS_BPF_COOKIE __kconfig;

/* Error numbers, which vmlinux.h does not have. */
#define ___USDT_ENOENT 2
#define ___USDT_ESRCH 3
#define ___USDT_EINVAL 22

/* Which mark fired: the kernel's cookie says it, or before 5.15 the place in code. */
static __always_inline struct __bpf_usdt_spec *___bpf_usdt_spec(struct pt_regs *ctx)
{
	int id;

	if (LINUX_HAS_BPF_COOKIE) {
		id = bpf_get_attach_cookie(ctx);
	} else {
		long ip = PT_REGS_IP(ctx);
		__u32 *found = bpf_map_lookup_elem(&__bpf_usdt_ip_to_spec_id, &ip);

		if (!found)
			return NULL;
		id = *found;
	}
	return bpf_map_lookup_elem(&__bpf_usdt_specs, &id);
}

/* The number of arguments, or -ESRCH. */
__weak __hidden int bpf_usdt_arg_cnt(struct pt_regs *ctx)
{
	struct __bpf_usdt_spec *spec = ___bpf_usdt_spec(ctx);

	return spec ? spec->arg_cnt : -___USDT_ESRCH;
}

/* The description of argument n; NULL, with the reason in *error, when there is none. */
static __always_inline struct __bpf_usdt_arg_spec *___bpf_usdt_argument(struct pt_regs *ctx,
									 __u64 n, int *error)
{
	struct __bpf_usdt_spec *spec = ___bpf_usdt_spec(ctx);

	if (!spec) {
		*error = -___USDT_ESRCH;
		return NULL;
	}
	*error = -___USDT_ENOENT;
	if (n >= BPF_USDT_MAX_ARG_CNT)
		return NULL;
	/* The verifier must see the first bound, which follows from the second. */
	barrier_var(n);
	if (n >= BPF_USDT_MAX_ARG_CNT || n >= (__u64) spec->arg_cnt)
		return NULL;
	return &spec->args[n];
}

/* The width of argument n in bytes; -ESRCH, -ENOENT. */
__weak __hidden int bpf_usdt_arg_size(struct pt_regs *ctx, __u64 arg_num)
{
	int error;
	struct __bpf_usdt_arg_spec *argument = ___bpf_usdt_argument(ctx, arg_num, &error);

	return argument ? (int) ((64u - argument->arg_bitshift) / 8) : error;
}

/* Put argument n into *res, sign or zero extended; 0, -ESRCH, -ENOENT or a read's error. */
__weak __hidden int bpf_usdt_arg(struct pt_regs *ctx, __u64 arg_num, long *res)
{
	int error;
	unsigned long value = 0, index = 0;
	struct __bpf_usdt_arg_spec *argument = ___bpf_usdt_argument(ctx, arg_num, &error);

	*res = 0;
	if (!argument)
		return error;
	/* Offsets into the context must be constants for the verifier: read it as memory. */
	if (argument->arg_type != BPF_USDT_ARG_CONST) {
		error = bpf_probe_read_kernel(&value, sizeof(value),
					      (void *) ctx + argument->reg_off);
		if (error)
			return error;
	}
	switch (argument->arg_type) {
	case BPF_USDT_ARG_CONST:
		value = argument->val_off;
		break;
	case BPF_USDT_ARG_REG:
		break;
	case BPF_USDT_ARG_SIB:
		error = bpf_probe_read_kernel(&index, sizeof(index),
					      (void *) ctx + argument->idx_reg_off);
		if (error)
			return error;
		value += index << argument->scale_bitshift;
		__attribute__((fallthrough));
	case BPF_USDT_ARG_REG_DEREF:
		error = bpf_probe_read_user(&value, sizeof(value),
					    (void *) value + argument->val_off);
		if (error)
			return error;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		/* Eight bytes were read; a shorter argument is in the upper ones. */
		value >>= argument->arg_bitshift;
#endif
		break;
	default:
		return -___USDT_EINVAL;
	}
	value <<= argument->arg_bitshift;
	if (argument->arg_signed)
		*res = (long) value >> argument->arg_bitshift;
	else
		*res = value >> argument->arg_bitshift;
	return 0;
}

/* The number that the user gave when attaching, 0 without one. */
__weak __hidden long bpf_usdt_cookie(struct pt_regs *ctx)
{
	struct __bpf_usdt_spec *spec = ___bpf_usdt_spec(ctx);

	return spec ? spec->usdt_cookie : 0;
}

#define ___bpf_usdt_value(n)                                                  \
	({                                                                    \
		long ___value;                                                \
		bpf_usdt_arg(ctx, n, &___value);                              \
		(void *) ___value;                                            \
	})
#define ___bpf_usdt_values0() ctx
#define ___bpf_usdt_values1(x) ___bpf_usdt_values0(), ___bpf_usdt_value(0)
#define ___bpf_usdt_values2(x, rest...) ___bpf_usdt_values1(rest), ___bpf_usdt_value(1)
#define ___bpf_usdt_values3(x, rest...) ___bpf_usdt_values2(rest), ___bpf_usdt_value(2)
#define ___bpf_usdt_values4(x, rest...) ___bpf_usdt_values3(rest), ___bpf_usdt_value(3)
#define ___bpf_usdt_values5(x, rest...) ___bpf_usdt_values4(rest), ___bpf_usdt_value(4)
#define ___bpf_usdt_values6(x, rest...) ___bpf_usdt_values5(rest), ___bpf_usdt_value(5)
#define ___bpf_usdt_values7(x, rest...) ___bpf_usdt_values6(rest), ___bpf_usdt_value(6)
#define ___bpf_usdt_values8(x, rest...) ___bpf_usdt_values7(rest), ___bpf_usdt_value(7)
#define ___bpf_usdt_values9(x, rest...) ___bpf_usdt_values8(rest), ___bpf_usdt_value(8)
#define ___bpf_usdt_values10(x, rest...) ___bpf_usdt_values9(rest), ___bpf_usdt_value(9)
#define ___bpf_usdt_values11(x, rest...) ___bpf_usdt_values10(rest), ___bpf_usdt_value(10)
#define ___bpf_usdt_values12(x, rest...) ___bpf_usdt_values11(rest), ___bpf_usdt_value(11)

/* A program with a typed parameter list, as BPF_KPROBE; up to 12 arguments. */
#define BPF_USDT(name, args...) \
	___bpf_program(name, struct pt_regs, ___bpf_usdt_values, ##args)

#endif /* __USDT_BPF_H__ */
