#ifdef FIXED
SEC("uprobe.s//bin/true:main")
#else
SEC("uprobe//bin/true:main")
#endif
int program(void *ctx)
{
	char byte;

	bpf_copy_from_user(&byte, 1, (void *)8);
	return 0;
}
