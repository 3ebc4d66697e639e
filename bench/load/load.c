/*
 * Open and load BPF objects with libbpf and print how long each took.
 *
 *     load ROUNDS OBJECT...
 *
 * One line an object: its path, then nanoseconds of open and of load, pair by pair, the first
 * one being the process's first.
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

static int load(const char *path)
{
	long started = now(), opened, loaded;
	struct bpf_object *object = bpf_object__open(path);

	opened = now();
	if (!object || bpf_object__load(object))
		return 1;
	loaded = now();
	printf(" %ld %ld", opened - started, loaded - opened);
	bpf_object__close(object);
	return 0;
}

int main(int count, char **words)
{
	libbpf_set_print(quiet);
	for (int i = 2; i < count; i++) {
		printf("%s", words[i]);
		for (int round = atoi(words[1]); round; round--)
			if (load(words[i]))
				return 1;
		printf("\n");
	}
	return 0;
}
