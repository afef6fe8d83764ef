"""A field of meters in virtual time: the firmware in each, and the truth kept beside them."""
