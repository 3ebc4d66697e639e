// Configuration values: declared by several objects, weak by some and strong by others.
//// first
extern int CONFIG_HZ __kconfig;
extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_OF_NO_KERNEL __kconfig __weak;
extern enum libbpf_tristate CONFIG_NET __kconfig __weak;
long first_seen[4];
SEC("raw_tp/sched_switch") int one(void *ctx)
{
	first_seen[0] = CONFIG_HZ;
	first_seen[1] = LINUX_KERNEL_VERSION;
	first_seen[2] = CONFIG_OF_NO_KERNEL;
	first_seen[3] = CONFIG_NET;
	return 0;
}
//// second
extern int CONFIG_HZ __kconfig __weak;
extern int LINUX_KERNEL_VERSION __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[64] __kconfig __weak;
extern unsigned long long CONFIG_OF_NO_KERNEL_EITHER __kconfig __weak;
long second_seen[4];
SEC("raw_tp/sched_switch") int two(void *ctx)
{
	second_seen[0] = CONFIG_HZ + LINUX_KERNEL_VERSION;
	second_seen[1] = CONFIG_NET;
	second_seen[2] = CONFIG_DEFAULT_HOSTNAME[1];
	second_seen[3] = CONFIG_OF_NO_KERNEL_EITHER;
	return 0;
}
