"""Libraries of this machine: published objects, for later processes to link against."""
