/* Prints addresses of its code by name, then does what lines of its input say. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile int sink;

static inline __attribute__((always_inline)) void *innermost(void)
{
	void *here;
	/* inlined twice */
#ifdef __aarch64__
	asm volatile("adr %0, ." : "=r"(here));
#else
	asm volatile("lea 0(%%rip), %0" : "=r"(here));
#endif
	sink++;
	return here;
}

static inline __attribute__((always_inline)) void *middle(void)
{
	return innermost();
}

__attribute__((noinline)) void *outer(void)
{
	void *here = middle();
	sink++;
	return here;
}

static __attribute__((noinline)) void hidden(void)
{
	sink += 2;
}

int main(int argc, char **argv)
{
	char line[4096];

	hidden();
	printf("outer %p\n", (void *)outer);
	printf("inlined %p\n", outer());
	printf("hidden %p\n", (void *)hidden);
	printf("pid %d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "dlopen ", 7)) {
			void *library = dlopen(line + 7, RTLD_NOW);
			printf("loaded %p\n", library ? dlsym(library, "in_library") : NULL);
			fflush(stdout);
		} else if (!strncmp(line, "exec ", 5)) {
			execl(line + 5, line + 5, NULL);
		}
	}
	return 0;
}
