"""The debugger on a terminal: commands as gdb has them, over `osmia.debugger.Session`."""
