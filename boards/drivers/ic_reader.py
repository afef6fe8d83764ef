"""Takes what a metering IC has measured to the meter, once a period of the IC."""


class IcReader:
    def __init__(self, ic, meter, raw_ms):
        self._ic = ic
        self._meter = meter
        self._read_ms = raw_ms
        self._tried_ms = raw_ms
        self._has_read = False  # what it counted before the first time, nobody knows

    def read(self, raw_ms):
        """True when something came. Raises what the bus raises."""
        ic = self._ic
        meter = self._meter
        if raw_ms - self._tried_ms < ic.period_ms:
            return False
        self._tried_ms = raw_ms
        # What it does not answer it goes on counting: the next answer has it all.
        duration_ms = raw_ms - self._read_ms
        if self._has_read:
            ic.elapsed_ms = duration_ms
        if not ic.poll(meter.quantities):
            return False
        self._has_read = True
        self._read_ms = raw_ms
        meter.measured(
            raw_ms, duration_ms, ic.active_uws, ic.reactive_uvars, ic.status,
            getattr(ic, "exporting", None),
        )  # fmt: skip
        return True
