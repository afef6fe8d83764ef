"""Who the meter is: what it answers when asked for its name."""


class Identity:
    """`meter_id` is the GS1 number (16 digits), `meter_type` the maker's type."""

    def __init__(self, meter_id="", meter_type=""):
        self.meter_id = meter_id
        self.meter_type = meter_type
