"""What programs' runs cost: instructions and time by function, source line, helper and map."""
