"""Coverage of programs: lines, branches, functions and instructions that runs reached."""
