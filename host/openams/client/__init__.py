"""A DLMS/COSEM client: reads and sets meters over TCP and serial lines.

Begin at client.py; apdu.py, hdlc.py and association.py are steps without I/O.
"""
