"""A DLMS/COSEM client: reads and sets meters over TCP and serial lines."""
