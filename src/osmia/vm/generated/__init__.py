"""The middle tier: BPF code as Python source, without checks, in any process at once."""
