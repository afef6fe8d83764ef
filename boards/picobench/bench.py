"""What the bench asks and orders through the mailbox."""

import gc
import json
import time

import amsbench
from amsbench.aggregate import Aggregate


class Bench:
    def __init__(self, mailbox, board, meter):
        self._mailbox = mailbox
        self._board = board
        self._meter = meter
        self._aggregate = Aggregate()
        meter.on_measured = self._aggregate.add
        mailbox.send(ord("K"), b'{"implementation":"rp2"}')

    def poll(self):
        """Serves one message; False when the meter is to stop."""
        message = self._mailbox.receive()
        if message is None:
            return True
        kind, payload = message
        meter = self._meter
        if kind == ord("V"):
            gc.collect()
            self._reply("V", amsbench.snapshot(meter))
        elif kind == ord("A"):
            amsbench.operate(meter, json.loads(payload), self._board.clock.utc_ms())
        elif kind == ord("O"):
            meter.han.open(meter.utc_ms)
            meter.wake()
        elif kind == ord("o"):
            meter.han.close(meter.utc_ms)
        elif kind == ord("H"):
            while True:  # a task that waits for what never comes: the watchdog has to help
                time.sleep_ms(100)
        elif kind in (ord("F"), ord("X")):
            meter.metrology.flush() if kind == ord("F") else meter.stop()
            self._result()
            return kind == ord("F")
        return True

    def _result(self):
        gc.collect()
        result = amsbench.result(self._meter, self._aggregate)
        for event in amsbench.events(self._meter):
            self._reply("N", event)
        self._reply("X", result)

    def _reply(self, kind, value):
        self._mailbox.send(ord(kind), json.dumps(value).encode())
