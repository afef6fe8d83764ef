"""What differs between images for a Pico: this one is updated by modules, in front of its own."""

NAME = None  # as the chip and the board have it


def halves():
    """None: the firmware is one, and stands where it is."""
    return None
