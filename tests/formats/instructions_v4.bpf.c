// What clang 22 emits with -mcpu=v4 (and by hand, where C says it too seldom).
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

struct input {
	__s64 number;
	__u64 count;
};

#ifndef WITHOUT_ARENA
struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
} arena SEC(".maps");

__u32 __arena in_arena;
#endif

__u64 shared;
__u32 shared32;
__s8 tiny = -5;
__s16 small = -300;
__s32 medium = -70000;

SEC("syscall") int sign_extending(struct input *in)
{
	volatile __s8 *a = &tiny;
	volatile __s16 *b = &small;
	volatile __s32 *c = &medium;
	long sum = *a + (long)*b + (long)*c;
	sum += (__s8)in->number + (long)(__s16)in->count;
	return sum ^ sum >> 40;
}

SEC("syscall") int ordered(struct input *in)
{
	__atomic_store_n(&shared, in->count, __ATOMIC_RELEASE);
	__atomic_store_n(&shared32, in->number, __ATOMIC_RELEASE);
	return __atomic_load_n(&shared, __ATOMIC_ACQUIRE) +
	       __atomic_load_n(&shared32, __ATOMIC_ACQUIRE);
}

SEC("syscall") int looping(struct input *in)
{
	__u64 limit = in->count, sum = 0;
	asm volatile("1:\n"
		     "may_goto 2f\n"
		     "if %[limit] == 0 goto 2f\n"
		     "%[sum] += %[limit]\n"
		     "%[limit] += -1\n"
		     "goto 1b\n"
		     "2:\n"
		     : [sum] "+r"(sum), [limit] "+r"(limit));
	return sum;
}

SEC("syscall") int far_away(struct input *in)
{
	__u64 r = in->count;
	asm volatile("if %[r] == 5 goto 1f\n"
		     "gotol 2f\n"
		     "1: %[r] = 50\n"
		     "2:\n"
		     : [r] "+r"(r));
	return r;
}

SEC("syscall") int swapped(struct input *in)
{
	return __builtin_bswap32(in->count) + __builtin_bswap16(in->number) +
	       (__u32)(__builtin_bswap64(in->count) >> 32);
}

SEC("syscall") int divided(struct input *in)
{
	__s64 by = (__s64)in->count;
	return in->number / by + 1000 * (in->number % by);
}

#ifndef WITHOUT_ARENA
SEC("syscall") int through_arena(struct input *in)
{
	void *keep = &arena;
	asm volatile("" : : "r"(keep));
	in_arena += in->count;
	return in_arena;
}
#endif

char _license[] SEC("license") = "GPL";
