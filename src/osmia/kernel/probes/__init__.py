"""What this kernel can do, found out by trying."""
