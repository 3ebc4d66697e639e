"""CO-RE: compile once, run everywhere; the rules that libbpf set."""
