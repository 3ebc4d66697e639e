"""A debugger of BPF programs in the userspace engine: what runs, where, with which values."""
