"""A meter that publishes to a real broker until the file of its first argument is there.

Prints each state that it comes to; at the end, as JSON, what has to be as without a broker, the
same of a meter that has none, the longest poll in ms of the wall, and the hours that wait.
"""

import json
import os
import sys
import time

import home_vm

from drivers.tcp import Dialler

STEP_MS = 500


def is_there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def main(stop, config, pace, system="3P4W"):
    """`config` names a file of JSON."""
    with open(config) as file:
        config = json.load(file)
    board, meter = home_vm.make(config, system)
    home = meter.home
    home.network = Dialler()
    # What they load is loaded: a meter has it in flash.
    for k in home.publisher.entities.rows:
        home.publisher.entities.value(k)
    state = None
    steps = longest = 0
    ending = False
    while not ending or steps < 200:
        ending = is_there(stop)
        home_vm.go_on(board, meter, STEP_MS)
        steps += 1
        for _ in range(5):
            before = home_vm.ticks_ms()
            home.poll(before * pace & 0x3FFFFFFF)
            took = (home_vm.ticks_ms() - before) & 0x3FFFFFFF
            if took > longest:
                longest = took
            if home.state != state:
                state = home.state
                print("state", state)
                if hasattr(sys.stdout, "flush"):
                    sys.stdout.flush()
            if not ending:
                time.sleep(0.002)
    home.set_open(False)
    other = home_vm.make(None, system)
    for _ in range(steps):
        home_vm.go_on(*other, STEP_MS)
    print(json.dumps({
        "with": home_vm.totals(board, meter),
        "without": home_vm.totals(*other),
        "longest_ms": longest,
        "said": board.said,
        "registers": meter.energy.mwh,
        "steps": steps,
    }))  # fmt: skip


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
