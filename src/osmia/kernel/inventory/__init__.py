"""What the kernel holds besides what this process loaded."""
