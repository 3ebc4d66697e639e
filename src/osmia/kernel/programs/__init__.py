"""Programs that the kernel holds: loading, information, test runs."""
