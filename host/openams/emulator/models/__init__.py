"""Register-level models of chips on the meter's buses: for CPython and MicroPython."""
