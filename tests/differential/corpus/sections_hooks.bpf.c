// Sections: functions and security hooks: fentry, fexit, fmod_ret, LSM.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

__u64 seen[4];

SEC("fentry/vfs_read")
int BPF_PROG(reading, struct file *file, char *buffer, size_t size)
{
	seen[0] += size;
	return 0;
}

SEC("fexit/vfs_read")
int BPF_PROG(have_read, struct file *file, char *buffer, size_t size, loff_t *at, ssize_t result)
{
	seen[1] += result;
	return 0;
}

SEC("fmod_ret/security_task_alloc")
int BPF_PROG(modified, struct task_struct *task, unsigned long flags, int result)
{
	return result;
}

SEC("lsm/file_open")
int BPF_PROG(opening, struct file *file)
{
	seen[2]++;
	return 0;
}

SEC("lsm.s/bpf")
int BPF_PROG(calling, int command, union bpf_attr *attribute, unsigned int size)
{
	return 0;
}
