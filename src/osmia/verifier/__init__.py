"""What the kernel's verifier did, read from its log: verdict, cost, path, origins of values."""
