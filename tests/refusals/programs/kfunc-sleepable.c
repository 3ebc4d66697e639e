int bpf_copy_from_user_str(void *to, __u32 size, const void *from, __u64 flags) __ksym;

#ifdef FIXED
SEC("uprobe.s//bin/true:main")
#else
SEC("uprobe//bin/true:main")
#endif
int program(void *ctx)
{
	char text[8];

	bpf_copy_from_user_str(text, sizeof(text), (void *)8, 0);
	return 0;
}
