/*
 * A program with static probes, whose notes are made by hand: what <sys/sdt.h> would emit.
 *
 * Reads commands, one letter each: f fires all marks, s prints the semaphore. Answers each
 * with a line.
 */
#include <stdio.h>

#define TEXT(x) #x

/* A nop and the note about it; `arguments` in assembler syntax, as the compiler fills it in. */
#define MARK(name, semaphore, arguments, ...)                                       \
	__asm__ volatile("990: nop\n"                                               \
			 ".pushsection .note.stapsdt, \"?\", \"note\"\n"            \
			 ".balign 4\n"                                              \
			 ".4byte 992f-991f, 994f-993f, 3\n"                         \
			 "991: .asciz \"stapsdt\"\n"                                \
			 "992: .balign 4\n"                                         \
			 "993: .8byte 990b, _.stapsdt.base, " semaphore "\n"        \
			 ".asciz \"osmia\"\n.asciz \"" name "\"\n"                  \
			 ".asciz \"" arguments "\"\n"                               \
			 "994: .balign 4\n"                                         \
			 ".popsection\n"                                            \
			 ".ifndef _.stapsdt.base\n"                                 \
			 ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n" \
			 ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"           \
			 "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n"      \
			 ".popsection\n.endif\n"                                    \
			 : : __VA_ARGS__ : "memory")

/* Counted up by the kernel while somebody listens. */
__attribute__((section(".probes"), used)) unsigned short listened_semaphore = 0;

volatile int balance = -70000;
long table[4] = {100, 200, 300, 400};

#ifdef __x86_64__
__attribute__((noinline)) static void every_kind(int number, unsigned char letter, long index)
{
	volatile long local = 1L << 40;

	MARK("kinds", "0", "-4@%[number] 8@%[local] -4@%[constant] 8@(%[table],%[index],8)"
	     " -4@balance(%%rip) 1@%b[letter]",
	     [number] "r"(number), [local] "m"(local), [constant] "i"(-9), [table] "r"(table),
	     [index] "r"(index), [letter] "q"(letter));
}
#else
__attribute__((noinline)) static void every_kind(int number, unsigned char letter, long index)
{
	volatile long local = 1L << 40;
	long *indexed = &table[index];

	MARK("kinds", "0", "-4@%w[number] 8@%[local] -4@-9 8@[%[indexed]] -4@[%[balance]]"
	     " 1@%w[letter]",
	     [number] "r"(number), [local] "m"(local), [indexed] "r"(indexed),
	     [balance] "r"(&balance), [letter] "r"(letter));
}
#endif

static inline __attribute__((always_inline)) void listened(long value)
{
	MARK("listened", "listened_semaphore", "8@%[value]", [value] "r"(value));
}

int main(void)
{
	int command;
	long fired = 0;

	while ((command = getchar()) != EOF) {
		if (command == 'f') {
			every_kind(-5, 'x', 2);
			MARK("bare", "0", "", "i"(0));
			/* One mark in two places, with its argument somewhere else in each. */
			listened(fired);
			__asm__ volatile("" : : : "memory");
			listened(1000);
			fired++;
			puts("fired");
		} else if (command == 's') {
			printf("%d\n", listened_semaphore);
		}
		fflush(stdout);
	}
	return 0;
}
