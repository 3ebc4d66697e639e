/* Preloaded into bpftool: each BPF_PROG_LOAD of a program called case_… becomes a line of the
 * file $RECORD_LOADS, and is answered with a descriptor of nothing, so that the next one comes:
 * what libbpf asks for shows, whether this kernel has it or not. */
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
	if (!next)
		next = dlsym(RTLD_NEXT, "syscall");
	return next(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		    argument[5]);
}
