"""Whether a port is open, as the operator left it: closed until he opens it."""


class Opening:
    """`cell` of the settings keeps it over a power cut."""

    def __init__(self, settings, cell):
        self._settings = settings
        self._cell = cell
        self._kept = settings.get(cell)  # None: the operator has said nothing yet
        self.is_open = self._kept == b"\x01"

    def open_first(self):
        """Left open at the works: that counts until an operator says something else."""
        if self._kept is None:
            self.is_open = True

    def set_open(self, is_open):
        """Outlives a power cut. Raises AccessError when the flash does not take it."""
        value = b"\x01" if is_open else b"\x00"
        self._settings.set(self._cell, value)
        self._kept = value
        self.is_open = is_open
