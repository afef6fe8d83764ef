"""The whole chain in virtual time: a field, its head-end and a hub, held against the truth."""
