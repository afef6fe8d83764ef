"""The keys of meters, each meter's own, in one encrypted file."""
