/* Memory order: acquire and release, compare and exchange, fences. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_atomic.h>

__u64 ready, payload, counter, swapped;
__u32 lock_word, small;

SEC("socket")
int producer(struct __sk_buff *skb)
{
	WRITE_ONCE(payload, skb->len);
	smp_wmb();
	smp_store_release(&ready, 1);
	smp_store_release(&small, 2);
	return 0;
}

SEC("socket")
int consumer(struct __sk_buff *skb)
{
	if (!smp_load_acquire(&ready))
		return 0;
	smp_rmb();
	return READ_ONCE(payload) + smp_load_acquire(&small);
}

SEC("socket")
int exchange(struct __sk_buff *skb)
{
	__u64 expected = READ_ONCE(counter);

	if (!try_cmpxchg(&counter, &expected, expected + 1))
		swapped = expected;
	if (cmpxchg(&lock_word, 0, 1) == 0) {
		smp_mb();
		swapped += xchg(&counter, 7);
		smp_store_release(&lock_word, 0);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
