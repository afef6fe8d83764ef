"""Firmware images: built, signed with the release key, released to one meter (docs/update.md)."""
