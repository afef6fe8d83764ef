"""The SPI bus of a metering IC as it is: frames with wrong bits, and no line at all; either VM."""


class Bus:
    """`hook(number)` comes before each exchange and may turn bits of its frame, or cut the line.
    `frame_us`: how long a frame takes the IC.
    """

    def __init__(self, model, frame_us=0):
        self.model = model
        self.frame_us = frame_us
        self.count = 0
        self.hook = None
        self.octets = 0
        self.heard = self.sent = 0  # masks of the frame's bits: what is heard, sent wrong
        self.cut = False  # neither heard nor sent

    def select(self, level):
        self.model.select(not level)

    def write_readinto(self, out, into):
        self.octets = len(out)
        self.heard = self.sent = 0
        if self.hook:
            self.hook(self.count)
        self.count += 1
        if self.frame_us:
            self.model.advance(self.frame_us)
        for k in range(len(out)):
            shift = 8 * (len(out) - 1 - k)
            if self.cut:
                into[k] = 0xFF
                continue
            into[k] = self.model.peek() ^ self.sent >> shift & 0xFF
            self.model.put(out[k] ^ self.heard >> shift & 0xFF)
