"""The lines of a running meter: HAN port, service port, TCP and M-Bus as pseudo-terminals and
sockets, and the way from one to another (gateway.py). Octets alone: what they mean is for others.
"""
