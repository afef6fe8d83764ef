# AES-GCM, key wrap, HMAC and P-256 on what a chip gives, and work on octets (octets.py).
# Knows nobody.
