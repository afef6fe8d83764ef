"""The keys of meters, each meter's own, in one encrypted file.

Begin at keystore.py; opening.py finds the file and its passphrase, provision.py gives a meter its
share.
"""
