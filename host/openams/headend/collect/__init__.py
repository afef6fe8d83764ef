"""Collection: what is due, whose turn it is, sessions with meters and concentrators."""
