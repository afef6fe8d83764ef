"""Model of sub-meters on a wired M-Bus, and of the bus that joins them (EN 13757-2 and -3)."""


def checked(body):
    """A long frame around C, A, CI and data."""
    size = len(body)
    return bytes((0x68, size, size, 0x68)) + body + bytes((sum(body) & 0xFF, 0x16))


class MBusSlave:
    """`telegrams`: the records of each telegram of a readout, without header and without 1F.

    `ci`: 72 a long header, 7A a short one, 78 none, 76 a long one with the highest octet first
    (the telegrams come as they are given). `config`: its configuration field.
    """

    def __init__(
        self, primary, identification, telegrams, manufacturer=0x0421, version=1, medium=7,
        ci=0x72, config=0,
    ):  # fmt: skip
        self.ci = ci
        self.config = config
        self.primary = primary
        self.identification = identification  # as BCD digits in an int: 0x12345678
        self.manufacturer = manufacturer
        self.version = version
        self.medium = medium
        self.telegrams = telegrams
        self.access_number = 0
        self.status = 0
        self.selected = False
        self.silent = False
        self._fcb = None  # of the last request answered
        self._telegram = 0
        self.requests = 0

    def hear(self, frame):
        """What it answers to a frame of the master, b"" for nothing."""
        if self.silent:
            return b""
        if len(frame) == 5 and frame[0] == 0x10:
            if (frame[1] + frame[2]) & 0xFF != frame[3] or frame[4] != 0x16:
                return b""
            return self._short(frame[1], frame[2])
        if len(frame) == 17 and frame[4] & 0x5F == 0x53 and frame[5] == 0xFD and frame[6] == 0x52:
            return self._select(frame[7:15])
        return b""

    def _short(self, control, address):
        ours = address == self.primary or address == 0xFE or (address == 0xFD and self.selected)
        if address == 0xFF and control == 0x40:
            self.selected = False
            self._fcb = None
            return b""
        if not ours:
            return b""
        if control == 0x40:
            self._fcb = None
            self._telegram = 0
            if address == 0xFD:
                self.selected = False
            return b"\xe5"
        if control & 0x5F == 0x5B:
            return self._answer(control & 0x20)
        return b""

    def _select(self, secondary):
        mine = self._secondary()
        self.selected = True
        for k in range(4):
            for shift in (0, 4):
                wanted = secondary[k] >> shift & 15
                if wanted != 15 and wanted != mine[k] >> shift & 15:
                    self.selected = False
        for at, size in ((4, 2), (6, 1), (7, 1)):
            wanted = secondary[at : at + size]
            if wanted != b"\xff" * size and wanted != mine[at : at + size]:
                self.selected = False
        if self.selected:
            self._fcb = None
            self._telegram = 0
            return b"\xe5"
        return b""

    def _secondary(self):
        return (
            self.identification.to_bytes(4, "little")
            + self.manufacturer.to_bytes(2, "little")
            + bytes((self.version, self.medium))
        )

    def _answer(self, fcb):
        """A toggled bit asks for the next telegram, the same one for the last again."""
        self.requests += 1
        if self._fcb is not None and fcb != self._fcb:
            self._telegram = (self._telegram + 1) % len(self.telegrams)
            self.access_number = (self.access_number + 1) & 0xFF
        self._fcb = fcb
        data = self.telegrams[self._telegram]
        if self._telegram < len(self.telegrams) - 1:
            data += b"\x1f"
        return checked(bytes((0x08, self.primary, self.ci)) + self._head() + data)

    def _head(self):
        state = bytes((self.access_number, self.status))
        if self.ci == 0x78:
            return b""
        if self.ci == 0x76:
            who = self.identification.to_bytes(4, "big") + self.manufacturer.to_bytes(2, "big")
            return who + bytes((self.version, self.medium)) + state + self.config.to_bytes(2, "big")
        state += self.config.to_bytes(2, "little")
        return state if self.ci == 0x7A else self._secondary() + state


class MBus:
    """Slaves on one pair of wires: those that answer at a time disturb one another.

    The level converter may give back what it sends (`echo`), and give octets of its own as
    the line turns round (`noise`).
    """

    def __init__(self, slaves, echo=False, noise=b""):
        self.slaves = slaves
        self.echo = echo
        self.noise = noise

    def put(self, frame):
        answer = self._answers(frame)
        if answer:
            answer = self.noise + answer
        return bytes(frame) + answer if self.echo else answer

    def _answers(self, frame):
        answers = []
        for slave in self.slaves:
            answer = slave.hear(frame)
            if answer:
                answers.append(answer)
        if not answers:
            return b""
        out = bytearray(max(len(answer) for answer in answers))
        for k in range(len(out)):
            # A slave draws current for a 0: a 0 of one wins over a 1 of another.
            out[k] = 0xFF
            for answer in answers:
                if k < len(answer):
                    out[k] &= answer[k]
        return bytes(out)
