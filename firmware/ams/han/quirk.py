"""The HAN port as it should behave: what the quirks (quirks.py) depart from."""


class Quirk:
    """No misbehaviour."""

    def list_format(self, list_format):
        return list_format

    def line(self, line):
        return line

    def start(self, utc_ms):
        """The port is opened, or its meter has its supply back."""

    def tick(self, utc_ms):
        """Called at every due time, open or closed."""

    def repeats_hour(self, utc_ms, view):
        return False

    def send(self, frame, utc_ms, uart):
        """Gives False when the line had no room for it."""
        return uart.write(frame)


def make_quirk(name, port, seed):
    """A quirk by name; None gives none. Raises ValueError for an unknown one."""
    if name is None:
        return Quirk()
    # Only what misbehaves loads the ways in which it can.
    from ams.han import quirks

    return quirks.make(name, port, seed)
