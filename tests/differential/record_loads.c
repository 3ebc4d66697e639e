/* Preloaded into bpftool: each BPF_PROG_LOAD of a program called case_…, and each
 * BPF_LINK_CREATE of a program on many kernel functions, becomes a line of the file $RECORD_LOADS,
 * and is answered with a descriptor of nothing, so that the next one comes: what libbpf asks for
 * shows, whether this kernel has it or not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

static int record(const union bpf_attr *attr)
{
	FILE *file = fopen(getenv("RECORD_LOADS"), "a");

	fprintf(file, "%s %u %u %u %u\n", attr->prog_name, attr->prog_type,
		attr->expected_attach_type, attr->prog_flags, attr->attach_btf_id);
	fclose(file);
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* linux/bpf.h of a newer kernel: BPF_TRACE_FENTRY_MULTI to BPF_TRACE_FSESSION_MULTI */
enum { FIRST_MULTI = 59, LAST_MULTI = 61 };

/* Behind the flags: struct { __u64 ids, cookies; __u32 cnt; } */
static int record_link(const __u32 *words)
{
	FILE *file = fopen(getenv("RECORD_LOADS"), "a");
	const __u32 *ids = *(const __u32 *const *)(words + 4);

	fprintf(file, "link %u %u %u %u", words[1], words[2], words[3], words[6] | words[7]);
	for (__u32 i = 0; i < words[8]; i++)
		fprintf(file, " %u", ids[i]);
	fprintf(file, "\n");
	fclose(file);
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long argument[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	if (number == __NR_bpf && argument[0] == BPF_PROG_LOAD) {
		const union bpf_attr *attr = (void *)argument[1];

		if (!strncmp(attr->prog_name, "case_", 5))
			return record(attr);
	}
	if (number == __NR_bpf && argument[0] == BPF_LINK_CREATE) {
		const __u32 *words = (void *)argument[1];

		if (words[2] >= FIRST_MULTI && words[2] <= LAST_MULTI)
			return record_link(words);
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "syscall");
	return next(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		    argument[5]);
}
