"""OpenAMS bench: runs, tests, flashes and attacks the meter."""

__version__ = "0.1.0"
