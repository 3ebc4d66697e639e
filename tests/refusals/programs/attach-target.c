#ifdef FIXED
SEC("fmod_ret/bpf_modify_return_test")
#else
SEC("fmod_ret/bpf_fentry_test1")
#endif
int program(__u64 *ctx)
{
	return 0;
}
