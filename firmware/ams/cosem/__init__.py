# DLMS/COSEM on a microcontroller: links, associations, ciphering, services, and modes A, C and E of
# the optical port. It knows objects by the model that it is given. Begin at server.py.
