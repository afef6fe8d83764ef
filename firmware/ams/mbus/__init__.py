# Sub-meters on a wired M-Bus: a master on a line that belongs to nobody else, records and their
# units, and what of them outlives a power cut. Begin at master.py.
