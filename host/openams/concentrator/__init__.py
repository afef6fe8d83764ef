"""A data concentrator, between a head-end and its meters: docs/concentrator.md."""
