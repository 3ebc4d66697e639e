"""`python -m osmia` is the `osmia` command."""

import sys

from osmia.cli import main

if __name__ == "__main__":
    sys.exit(main())
