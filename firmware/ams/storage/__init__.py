# State in flash that a power cut at any operation leaves whole: journals, rings, cells, slots for
# erases ahead of need. Begin at journal.py; layout.py says what lies where.
