/* The work of each benchmark program: plain C that both the BPF objects and the native
 * library are compiled from. */
#ifndef WORK_H
#define WORK_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define INLINE static inline __attribute__((always_inline))

/* 20,000 rounds of 7 instructions. The barrier keeps compilers from solving the recurrence. */
INLINE u64 alu_loop(u64 x)
{
	for (u32 i = 0; i < 20000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

/* The one's complement sum of 1,500 bytes. */
INLINE u32 checksum(const u8 *data)
{
	u64 sum = 0;

	for (u32 i = 0; i < 750; i++)
		sum += *(const u16 *)(data + 2 * i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

/* Ethernet, IPv4 with options, UDP or TCP: a verdict from ports and addresses. */
INLINE int parse(const u8 *data, const u8 *end)
{
	const u8 *ip = data + 14;
	u32 header, source, destination;

	if (ip + 20 > end)
		return 0;
	if (*(const u16 *)(data + 12) != 0x0008)
		return 2;
	if (ip[0] >> 4 != 4)
		return 1;
	header = (ip[0] & 15) * 4;
	if (header < 20 || ip + header + 4 > end)
		return 1;
	source = *(const u32 *)(ip + 12);
	destination = *(const u32 *)(ip + 16);
	if (ip[9] != 17 && ip[9] != 6)
		return 2;
	if (*(const u16 *)(ip + header + 2) == 0x3500)
		return 1;
	return (source ^ destination) & 1 ? 2 : 3;
}

#define SIEVE 8192

/* How many primes there are below SIEVE. */
INLINE u32 sieve(u8 *composite)
{
	u32 count = 0;

	for (u32 i = 0; i < SIEVE; i++) {
		composite[i] = 0;
		__asm__ volatile("" : : : "memory"); /* BPF has no memset to call */
	}
	for (u32 i = 2; i < SIEVE; i++) {
		if (composite[i])
			continue;
		count++;
		for (u32 j = 2 * i; j < SIEVE; j += i)
			composite[j & (SIEVE - 1)] = 1;
	}
	return count;
}

#define SIDE 16

/* The product of two 16 by 16 matrices. */
INLINE u64 matrix(const u64 *a, const u64 *b, u64 *c)
{
	for (u32 i = 0; i < SIDE; i++)
		for (u32 j = 0; j < SIDE; j++) {
			u64 sum = 0;

			for (u32 k = 0; k < SIDE; k++)
				sum += a[i * SIDE + k] * b[k * SIDE + j];
			c[i * SIDE + j] = sum;
		}
	return c[17];
}

#endif
