# OpenAMS: an open smart electricity meter. See docs/architecture.md.

__version__ = "0.1.0"
