/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CO-RE: reading kernel structures whose layout is known only when the program is loaded.
 *
 * The compiler records each access through __builtin_preserve_*() in .BTF.ext; the loader
 * patches offsets, sizes and truth values for the kernel at hand.
 */
#ifndef __BPF_CORE_READ_H__
#define __BPF_CORE_READ_H__

#include "bpf_helpers.h"

/*
 * What can be asked; numbers as in enum bpf_core_relo_kind (include/uapi/linux/bpf.h),
 * counted from each builtin's first.
 */
enum bpf_field_info_kind {
	BPF_FIELD_BYTE_OFFSET = 0,
	BPF_FIELD_BYTE_SIZE = 1,
	BPF_FIELD_EXISTS = 2,
	BPF_FIELD_SIGNED = 3,
	BPF_FIELD_LSHIFT_U64 = 4,
	BPF_FIELD_RSHIFT_U64 = 5,
};

enum bpf_type_id_kind {
	BPF_TYPE_ID_LOCAL = 0,
	BPF_TYPE_ID_TARGET = 1,
};

enum bpf_type_info_kind {
	BPF_TYPE_EXISTS = 0,
	BPF_TYPE_SIZE = 1,
	BPF_TYPE_MATCHES = 2,
};

enum bpf_enum_value_kind {
	BPF_ENUMVAL_EXISTS = 0,
	BPF_ENUMVAL_VALUE = 1,
};

/*
 * Questions about fields, types and enumerators. A field is given as an expression
 * (p->a.b) or as a type and a field (struct s, a.b).
 */
#define ___bpf_field1(field) (field)
#define ___bpf_field2(type, field) (((typeof(type) *) 0)->field)
#define ___bpf_field(field...) ___bpf_apply(___bpf_field, ___bpf_narg(field))(field)

#define bpf_core_field_exists(field...) \
	__builtin_preserve_field_info(___bpf_field(field), BPF_FIELD_EXISTS)
#define bpf_core_field_size(field...) \
	__builtin_preserve_field_info(___bpf_field(field), BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(field...) \
	__builtin_preserve_field_info(___bpf_field(field), BPF_FIELD_BYTE_OFFSET)

/* clang wants the type as an object behind a null pointer. */
#define ___bpf_object_of(type) (*(typeof(type) *) 0)

#define bpf_core_type_id_local(type) \
	__builtin_btf_type_id(___bpf_object_of(type), BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type) \
	__builtin_btf_type_id(___bpf_object_of(type), BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type) \
	__builtin_preserve_type_info(___bpf_object_of(type), BPF_TYPE_EXISTS)
#define bpf_core_type_matches(type) \
	__builtin_preserve_type_info(___bpf_object_of(type), BPF_TYPE_MATCHES)
#define bpf_core_type_size(type) \
	__builtin_preserve_type_info(___bpf_object_of(type), BPF_TYPE_SIZE)

/* … and an enumerator as an address of its enumeration's type. */
#define bpf_core_enum_value_exists(enum_type, enumerator) \
	__builtin_preserve_enum_value(*(typeof(enum_type) *) enumerator, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(enum_type, enumerator) \
	__builtin_preserve_enum_value(*(typeof(enum_type) *) enumerator, BPF_ENUMVAL_VALUE)

/*
 * Reading one thing. The source is an address whose offsets are relocated. These return
 * what the helper returns: 0 or a string's size, negative on a fault.
 */
#define ___bpf_relocated(source) ((const void *) __builtin_preserve_access_index(source))

#define bpf_core_read(dst, size, source) \
	bpf_probe_read_kernel(dst, size, ___bpf_relocated(source))
#define bpf_core_read_user(dst, size, source) \
	bpf_probe_read_user(dst, size, ___bpf_relocated(source))
#define bpf_core_read_str(dst, size, source) \
	bpf_probe_read_kernel_str(dst, size, ___bpf_relocated(source))
#define bpf_core_read_user_str(dst, size, source) \
	bpf_probe_read_user_str(dst, size, ___bpf_relocated(source))

/* Take an address for a pointer to a kernel type that may be read directly, since 6.2. */
extern void *bpf_rdonly_cast(const void *obj__ign, __u32 btf_id__k) __ksym __weak;
#define bpf_core_cast(pointer, type) \
	((typeof(type) *) bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type)))

/*
 * Following pointers: READ(p, a, b.c, d) is p->a->b.c->d with a checked read at each
 * arrow, up to 10 of them. `hop` reads the pointers on the way, `last` the value at the
 * end.
 *
 * A pointer on the way is read through a plain void pointer, since the member that holds
 * it may be const.
 */
#define ___bpf_hop(n, hop, source, field)                                     \
	const void *___raw##n;                                                \
	hop(&___raw##n, sizeof(___raw##n), &(source)->field);                 \
	typeof((source)->field) ___at##n = (typeof((source)->field)) ___raw##n;

#define ___bpf_chase1(hop, last, dst, source, field) \
	last(dst, sizeof(*(dst)), &(source)->field)
#define ___bpf_chase2(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(2, hop, source, field) ___bpf_chase1(hop, last, dst, ___at2, rest); })
#define ___bpf_chase3(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(3, hop, source, field) ___bpf_chase2(hop, last, dst, ___at3, rest); })
#define ___bpf_chase4(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(4, hop, source, field) ___bpf_chase3(hop, last, dst, ___at4, rest); })
#define ___bpf_chase5(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(5, hop, source, field) ___bpf_chase4(hop, last, dst, ___at5, rest); })
#define ___bpf_chase6(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(6, hop, source, field) ___bpf_chase5(hop, last, dst, ___at6, rest); })
#define ___bpf_chase7(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(7, hop, source, field) ___bpf_chase6(hop, last, dst, ___at7, rest); })
#define ___bpf_chase8(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(8, hop, source, field) ___bpf_chase7(hop, last, dst, ___at8, rest); })
#define ___bpf_chase9(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(9, hop, source, field) ___bpf_chase8(hop, last, dst, ___at9, rest); })
#define ___bpf_chase10(hop, last, dst, source, field, rest...) \
	({ ___bpf_hop(10, hop, source, field) ___bpf_chase9(hop, last, dst, ___at10, rest); })
#define ___bpf_chase(hop, last, dst, source, fields...) \
	___bpf_apply(___bpf_chase, ___bpf_narg(fields))(hop, last, dst, source, fields)

/* The type at the end of the chain. */
#define ___bpf_arrow1(source, field) (source)->field
#define ___bpf_arrow2(source, field, rest...) ___bpf_arrow1((source)->field, rest)
#define ___bpf_arrow3(source, field, rest...) ___bpf_arrow2((source)->field, rest)
#define ___bpf_arrow4(source, field, rest...) ___bpf_arrow3((source)->field, rest)
#define ___bpf_arrow5(source, field, rest...) ___bpf_arrow4((source)->field, rest)
#define ___bpf_arrow6(source, field, rest...) ___bpf_arrow5((source)->field, rest)
#define ___bpf_arrow7(source, field, rest...) ___bpf_arrow6((source)->field, rest)
#define ___bpf_arrow8(source, field, rest...) ___bpf_arrow7((source)->field, rest)
#define ___bpf_arrow9(source, field, rest...) ___bpf_arrow8((source)->field, rest)
#define ___bpf_arrow10(source, field, rest...) ___bpf_arrow9((source)->field, rest)
#define ___bpf_chased_type(source, fields...) \
	typeof(___bpf_apply(___bpf_arrow, ___bpf_narg(fields))(source, fields))

/* Into *dst; the value is what the last read returned. */
#define BPF_CORE_READ_INTO(dst, source, fields...) \
	___bpf_chase(bpf_core_read, bpf_core_read, dst, source, fields)
#define BPF_CORE_READ_USER_INTO(dst, source, fields...) \
	___bpf_chase(bpf_core_read_user, bpf_core_read_user, dst, source, fields)
#define BPF_CORE_READ_STR_INTO(dst, source, fields...) \
	___bpf_chase(bpf_core_read, bpf_core_read_str, dst, source, fields)
#define BPF_CORE_READ_USER_STR_INTO(dst, source, fields...) \
	___bpf_chase(bpf_core_read_user, bpf_core_read_user_str, dst, source, fields)

/* The same without relocation, for structures whose layout is fixed. */
#define BPF_PROBE_READ_INTO(dst, source, fields...) \
	___bpf_chase(bpf_probe_read_kernel, bpf_probe_read_kernel, dst, source, fields)
#define BPF_PROBE_READ_USER_INTO(dst, source, fields...) \
	___bpf_chase(bpf_probe_read_user, bpf_probe_read_user, dst, source, fields)
#define BPF_PROBE_READ_STR_INTO(dst, source, fields...) \
	___bpf_chase(bpf_probe_read_kernel, bpf_probe_read_kernel_str, dst, source, fields)
#define BPF_PROBE_READ_USER_STR_INTO(dst, source, fields...) \
	___bpf_chase(bpf_probe_read_user, bpf_probe_read_user_str, dst, source, fields)

/*
 * As a value; zero when a read faults. It is read as bytes, since what a pointer to const
 * leads to is const itself.
 */
#define ___bpf_chased(into, source, fields...)                                \
	({                                                                    \
		union {                                                       \
			___bpf_chased_type(source, fields) value;             \
			char bytes[sizeof(___bpf_chased_type(source, fields))]; \
		} ___chased;                                                  \
		into(&___chased.bytes, source, fields);                       \
		___chased.value;                                              \
	})
#define BPF_CORE_READ(source, fields...) ___bpf_chased(BPF_CORE_READ_INTO, source, fields)
#define BPF_CORE_READ_USER(source, fields...) ___bpf_chased(BPF_CORE_READ_USER_INTO, source, fields)
#define BPF_PROBE_READ(source, fields...) ___bpf_chased(BPF_PROBE_READ_INTO, source, fields)
#define BPF_PROBE_READ_USER(source, fields...) ___bpf_chased(BPF_PROBE_READ_USER_INTO, source, fields)

/*
 * Bit fields. The word that holds the field is loaded whole; two relocated shifts by way
 * of a 64-bit value cut the field out of it and extend its sign.
 */
#define ___bpf_info(s, field, kind) \
	__builtin_preserve_field_info((s)->field, BPF_FIELD_##kind)

#define ___bpf_cut(word, s, field)                                            \
	({                                                                    \
		unsigned long long ___bits = (word) << ___bpf_info(s, field, LSHIFT_U64); \
		if (___bpf_info(s, field, SIGNED))                            \
			___bits = (unsigned long long)                        \
				((long long) ___bits >> ___bpf_info(s, field, RSHIFT_U64)); \
		else                                                          \
			___bits >>= ___bpf_info(s, field, RSHIFT_U64);        \
		___bits;                                                      \
	})

/* Where the low bytes of a 64-bit variable are that hold a word of `size` bytes. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ___bpf_low_bytes(variable, size) ((void *) &(variable) + (8 - (size)))
#else
#define ___bpf_low_bytes(variable, size) ((void *) &(variable))
#endif

/* Through a checked read, for memory that may not be accessed directly. */
#define BPF_CORE_READ_BITFIELD_PROBED(s, field)                               \
	({                                                                    \
		unsigned long long ___word = 0;                               \
		bpf_probe_read_kernel(                                        \
			___bpf_low_bytes(___word, ___bpf_info(s, field, BYTE_SIZE)), \
			___bpf_info(s, field, BYTE_SIZE),                     \
			(const void *) (s) + ___bpf_info(s, field, BYTE_OFFSET)); \
		___bpf_cut(___word, s, field);                                \
	})

/* barrier_var(): each case must stay a load of its own, with the relocated offset before. */
#define BPF_CORE_READ_BITFIELD(s, field)                                      \
	({                                                                    \
		const void *___place = (const void *) (s) + ___bpf_info(s, field, BYTE_OFFSET); \
		unsigned long long ___word = 0;                               \
		barrier_var(___place);                                        \
		switch (___bpf_info(s, field, BYTE_SIZE)) {                   \
		case 1: ___word = *(const unsigned char *) ___place; break;   \
		case 2: ___word = *(const unsigned short *) ___place; break;  \
		case 4: ___word = *(const unsigned int *) ___place; break;    \
		case 8: ___word = *(const unsigned long long *) ___place; break; \
		}                                                             \
		___bpf_cut(___word, s, field);                                \
	})

/* Write a bit field in place. The field's width is 64 - RSHIFT, its lowest bit RSHIFT - LSHIFT. */
#define BPF_CORE_WRITE_BITFIELD(s, field, value)                              \
	({                                                                    \
		void *___place = (void *) (s) + ___bpf_info(s, field, BYTE_OFFSET); \
		const unsigned int ___size = ___bpf_info(s, field, BYTE_SIZE); \
		const unsigned int ___left = ___bpf_info(s, field, LSHIFT_U64); \
		const unsigned int ___right = ___bpf_info(s, field, RSHIFT_U64); \
		const unsigned long long ___mask = (~0ull << ___right) >> ___left; \
		unsigned long long ___new =                                   \
			((unsigned long long) (value) << ___right) >> ___left; \
		barrier_var(___place);                                        \
		switch (___size) {                                            \
		case 1: ___bpf_replace_bits(unsigned char, ___place, ___mask, ___new); break; \
		case 2: ___bpf_replace_bits(unsigned short, ___place, ___mask, ___new); break; \
		case 4: ___bpf_replace_bits(unsigned int, ___place, ___mask, ___new); break; \
		case 8: ___bpf_replace_bits(unsigned long long, ___place, ___mask, ___new); break; \
		}                                                             \
	})
#define ___bpf_replace_bits(type, place, mask, bits) \
	(*(type *) (place) = (*(type *) (place) & ~(mask)) | ((bits) & (mask)))

#endif /* __BPF_CORE_READ_H__ */
