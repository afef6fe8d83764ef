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
