"""Versions of the store's tables, for alembic: 0001 and on, each from the one before."""
