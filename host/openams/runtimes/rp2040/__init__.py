"""The meter on an emulated RP2040."""

from openams.runtimes.rp2040 import native

# Before anything of rp2040py is imported.
native.install()
