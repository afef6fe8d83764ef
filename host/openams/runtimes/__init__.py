"""Places where the firmware runs: CPython, the MicroPython VM, the emulated RP2040 (rp2040/).

Begin at launch.py; process.py is what a session has of any of them, state.py the flash on disk.
"""
