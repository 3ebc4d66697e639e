"""Compiled programs: BPF code to machine code through LLVM (extra `osmia[jit]`)."""
