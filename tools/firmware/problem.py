"""What stops a build, as one line for the person at the terminal."""


class Problem(Exception):
    """The line says what to do."""
