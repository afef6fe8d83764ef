"""What stands in for hardware on a PC: shims of MicroPython's modules, models of chips and lines
(models/), boards of the unix port. Nothing here knows the bench.
"""
