#ifdef FIXED
SEC("fentry/bpf_fentry_test1")
#else
SEC("fentry.s/bpf_fentry_test1")
#endif
int program(__u64 *ctx)
{
	return 0;
}
