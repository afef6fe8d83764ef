"""Modes A and C at the optical port of a whole meter, on either VM; time is ours.

Every `check_` function is one test; `main()` runs them all and prints their number. The line has
octets that take their time, as a UART has: what the meter says arrives at the rate that is set.
"""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

from ams.clock.local import utc_ms_of
from ams.cosem.access import OPERATOR
from ams.cosem.axdr import Reader
from amsbench.hold import hold

START_MS = utc_ms_of(2026, 6, 30, 21, 40)  # 23:40 of local summer time
LEVEL_LN = b"\x00\x00\x80\x06\x00\xff"
SIGN_ON = b"/?!\r\n"
IDENTIFICATION = b"/OAM5\\2E450\r\n"
ERROR = "(ERROR)", "(ER01)", "(ER03)", "(ER06)"
SLOW = (300, 7, 0, 1)


def bcc(data):
    out = 0
    for octet in data:
        out ^= octet
    return bytes((out,))


def command(text):
    """SOH, what is between, ETX and BCC; "R5|P.01()" has STX where the bar is."""
    data = text.replace("|", "\x02").encode() + b"\x03"
    return b"\x01" + data + bcc(data)


def opened(message, head=b"\x02", end=b"\x03"):
    """What is between the head and the end of a message whose BCC is right."""
    assert message[:1] == head and message[-2:-1] == end, message
    assert bcc(message[1:-1]) == message[-1:], message
    return message[1:-2].decode()


class Line:
    """A UART: what is written takes ten bits an octet at the rate that is set."""

    room = 200

    def __init__(self, echo=False):
        self.now_ms = 0.0
        self.settings = None
        self.out = []  # (when it was there, octet, rate)
        self.free_ms = 0.0
        self.coming = []
        self.echo = echo

    def init(self, *settings):
        assert self.idle()
        self.settings = settings

    def idle(self):
        return self.now_ms >= self.free_ms

    def write(self, data):
        assert len(data) <= self.room
        self.free_ms = max(self.free_ms, self.now_ms)
        for octet in bytes(data):
            self.free_ms += 10000 / self.settings[0]
            self.out.append((self.free_ms, octet, self.settings))
            if self.echo:
                self.coming.append((self.free_ms, octet))
        return len(data)

    def readinto(self, buffer):
        count = 0
        while self.coming and self.coming[0][0] <= self.now_ms and count < len(buffer):
            buffer[count] = self.coming.pop(0)[1]
            count += 1
        return count

    def held(self):
        return None


class Bench:
    def __init__(self, level=2, listing="landis", flash=None, echo=False, system="3P4W"):
        from drivers.links import Links

        self.line = Line(echo)
        board = flash_lab.LabBoard(flash)
        board.entropy = lambda count: bytes(range(count))
        self.config = {
            "system": system,
            "calibration": calibration(system),
            "identity": {"meter_id": "7359990000000017", "meter_type": "E450"},
            "han": {"format": "kaifa"},
            "security": {},
            "readout": {"list": listing, "level": level},
        }
        board.link_write = lambda channel, data: self.links.write(channel, data)
        board.link_close = lambda channel: None
        self.raw_ms = START_MS
        self.meter = flash_lab.Meter(board, self.config)
        flash_lab.set_power(self.meter, 1725)
        self.meter.start(START_MS)
        self.links = Links(self.meter.link, self.line)
        # It rests in mode E.
        self.meter.model.set(19, b"\x00\x00\x14\x00\x00\xff", 2, OPERATOR, Reader(b"\x16\x00"))
        self.wait(100)

    def wait(self, ms):
        for _ in range(ms // 5):
            self.line.now_ms += 5
            self.links.poll(int(self.line.now_ms))

    def say(self, data, wait_ms=3000):
        """Octets at the rate of the line; what was heard until it is silent, each at its rate."""
        line = self.line
        at = max(line.now_ms, line.free_ms)
        for octet in data:
            at += 10000 / line.settings[0]
            line.coming.append((at, octet))
        line.coming.sort()
        heard = len(line.out)
        left = wait_ms
        while left > 0:
            self.wait(5)
            left = wait_ms if line.coming or not line.idle() else left - 5
        return bytes([octet for _, octet, _ in line.out[heard:]])

    def heard_at(self):
        """The settings at which the last octet came."""
        return self.line.out[-1][2]

    def sign_on(self, choice, address=b""):
        assert self.say(b"/?" + address + b"!\r\n", 800) == IDENTIFICATION
        assert self.heard_at() == SLOW
        return self.say(b"\x06" + choice + b"\r\n", 1400)

    def program(self):
        assert opened(self.sign_on(b"051"), b"\x01") == "P0\x02()"
        assert self.heard_at() == (9600, 7, 0, 1)

    def ask(self, text):
        return opened(self.say(command(text), 800))

    def at_rest(self):
        return self.line.settings == SLOW and self.meter.link.service._reading is None


def calibration(system):
    pairs = {"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]
    return {
        "sample_rate_hz": 4000, "full_scale": 8388607, "lowest_code": -8388607,
        "starting_power_mva": 700,
        "channels": [
            {"kind": "voltage", "lsb_pv": 100000000}, {"kind": "current", "lsb_pa": 40000000},
        ] * pairs,
    }  # fmt: skip


LANDIS = (
    "F.F(00000000)\r\n0.0.0(7359990000000017)\r\n1.8.1(001234.5*kWh)\r\n1.8.2(000000.0*kWh)\r\n"
    "2.8.1(000009.8*kWh)\r\n2.8.2(000000.0*kWh)\r\n1.8.0(001234.5*kWh)\r\n2.8.0(000009.8*kWh)\r\n"
    "0.9.1(23:40:00)\r\n0.9.2(26-06-30)\r\n!\r\n"
)


def with_registers(bench):
    bench.meter.energy.mwh[:4] = [1234567890, 9876543, 70000000, 5999]
    return bench


# --- readout -------------------------------------------------------------------------------


def check_a_readout_at_the_rate_that_was_chosen():
    for choice, baud in ((b"050", 9600), (b"030", 2400), (b"010", 600), (b"000", 300)):
        bench = with_registers(Bench())
        assert opened(bench.sign_on(choice)) == LANDIS
        assert bench.heard_at() == (baud, 7, 0, 1)
        bench.wait(2000)
        assert bench.at_rest()
        # And once more, with an address.
        assert opened(bench.sign_on(choice, b"7359990000000017")) == LANDIS


def check_who_says_nothing_gets_it_at_300_baud():
    """Mode A: no acknowledgement follows the identification."""
    bench = with_registers(Bench())
    assert bench.say(SIGN_ON, 1000) == IDENTIFICATION
    began = bench.line.now_ms
    assert opened(bench.say(b"", 2000)) == LANDIS
    assert bench.heard_at() == SLOW
    first = bench.line.out[len(IDENTIFICATION)][0]
    # One and a half seconds behind the identification, which the second had begun after.
    assert 400 <= first - began <= 700, first - began
    bench.wait(2000)
    assert bench.at_rest()


def check_a_choice_that_is_none_goes_on_at_300_baud():
    for choice in (b"060", b"090", b"0A0", b"040x", b"150", b"05", b"", b"\x00\x00\x00", b"292"):
        bench = with_registers(Bench())
        assert opened(bench.sign_on(choice)) == LANDIS, choice
        assert bench.heard_at() == SLOW
    bench = Bench()
    assert opened(bench.sign_on(b"091"), b"\x01") == "P0\x02()"
    assert bench.heard_at() == SLOW


def check_mode_e_is_as_it_was():
    bench = Bench()
    assert bench.sign_on(b"252") == b"\x06252\r\n"
    assert bench.line.settings == (9600, 8, None, 1)
    bench.wait(6000)
    assert bench.at_rest()


def check_nak_asks_once_more_and_not_for_ever():
    bench = with_registers(Bench())
    first = bench.sign_on(b"050")
    assert opened(first) == LANDIS
    for _ in range(2):
        assert bench.say(b"\x15", 1000) == first
    assert bench.say(b"\x15", 1000) == b""
    assert bench.at_rest()
    bench = with_registers(Bench())
    assert opened(bench.sign_on(b"050")) == LANDIS
    assert bench.say(b"\x06", 100) == b"" and bench.at_rest()


def check_every_list():
    for listing, lines in (
        ("emh", ("1.8.0(01234.567*kWh)", "3.8.1(00070.000*kvarh)", "4.8.0(00000.005*kvarh)",
                 "0.9.1(1234000)", "0.9.2(1260630)", "1.7.0(01.725*kW)", "2.7.0(00.000*kW)")),
        ("abb", ("1.8.1(001234.5*kWh)", "0.9.1(234000)", "0.9.2(260630)", "52.7.0(230.0*V)")),
        ("siemens", ("1.8.0(1234.567*kWh)", "0.9.2(26-06-30)", "1.7.0(1.725*kW)", "14.7(50.00*Hz)",
                     "32.7(230.0*V)", "71.7(2.50*A)", "4.7.0(0.000*kvar)", "3.7.0(0.518*kvar)",
                     "81.7.26(0.0*Deg)")),
    ):  # fmt: skip
        bench = with_registers(Bench(listing=listing))
        text = opened(bench.sign_on(b"050"))
        assert text[-3:] == "!\r\n"
        found = text[:-3].split("\r\n")
        for line in lines:
            assert line in found, (line, found)
        for line in found[:-1]:
            assert line[-1:] == ")" and len(line) <= 76
    bench = Bench(listing="siemens", system="1P2W")
    assert "52.7(" not in opened(bench.sign_on(b"050"))


def check_registers_roll_over_and_angles_have_signs():
    bench = Bench(listing="landis")
    bench.meter.energy.mwh[0] = 10**12 + 54321987
    assert "1.8.0(000054.3*kWh)" in opened(bench.sign_on(b"050"))
    bench = Bench(listing="siemens")
    q = bench.meter.quantities
    for k, (p, r) in enumerate(((1000000, -1000000), (-1000000, 1000), (0, -5))):
        q.active_power_mw[k], q.reactive_power_mvar[k] = p, r
    text = opened(bench.sign_on(b"050"))
    for line in ("81.7.4(-45.0*Deg)", "81.7.15(179.9*Deg)", "81.7.26(-90.0*Deg)"):
        assert line in text, text


# --- closed ----------------------------------------------------------------------------------


def check_closed_until_it_is_opened():
    bench = Bench(level=0)
    assert bench.say(SIGN_ON, 5000) == IDENTIFICATION
    for choice in (b"050", b"051", b"000"):
        assert bench.sign_on(choice) == b""
        assert bench.at_rest()
    import sys

    del sys.modules["ams.cosem.readout"]  # of the checks before this one
    bench = Bench(level=0)
    assert "ams.cosem.readout" not in sys.modules


def check_the_operator_opens_and_closes_it():
    bench = Bench(level=0)
    for level, answer in ((1, "(ER06)"), (2, "P.01(ERROR)\r\n"), (1, "(ER06)")):
        bench.meter.model.set(1, LEVEL_LN, 2, OPERATOR, Reader(bytes((0x16, level))))
        bench.program()
        assert bench.ask("R5|P.01()") == answer
        assert bench.ask("R1|0.0.0()") == "0.0.0(7359990000000017)"
        assert bench.say(command("B0"), 300) == b"" and bench.at_rest()
    bench.program()
    bench.meter.model.set(1, LEVEL_LN, 2, OPERATOR, Reader(b"\x16\x00"))
    bench.wait(20)
    assert bench.at_rest()
    assert bench.say(command("R1|0.0.0()"), 800) == b""
    assert bench.sign_on(b"050") == b""
    events = [event[1] for event in bench.meter.events.entries()]
    assert events.count(47) >= 4  # each change of a parameter


# --- programming mode ----------------------------------------------------------------------------


def check_single_values():
    bench = with_registers(Bench())
    bench.program()
    for text, answer in (
        ("R1|1.8.0()", "1.8.0(001234.5*kWh)"), ("R5|1.8.0()", "1.8.0(001234.5*kWh)"),
        ("R1|1-0:2.8.0*255(1)", "2.8.0(000009.8*kWh)"), ("R2|0.9.2", "0.9.2(26-06-30)"),
        ("R1|9.9.9()", "(ERROR)"), ("R1|1.7.0()", "(ERROR)"), ("R1|", "(ER03)"),
        ("R1|()", "(ER03)"), ("R1|1.8.0(", "(ER03)"), ("R1|1.8.0)(", "(ER03)"), ("R1", "(ER03)"),
        ("R5|P.01(1;2;3;4)", "(ER03)"), ("R5|P.01(99)", "(ER03)"), ("R6|P.01()(0)", "(ER03)"),
        ("R6|P.01()(x)", "(ER03)"), ("R5|P.01(0261331;)", "(ER03)"), ("R5|P.02()", "(ERROR)"),
        ("R4|1.8.0()", "(ER01)"), ("R0|1.8.0()", "(ER01)"), ("X1|1.8.0()", "(ER01)"),
        ("W1|1.8.0(0)", "(ER06)"), ("W5|0.9.1(000000)", "(ER06)"), ("E2|X(1)", "(ER06)"),
    ):  # fmt: skip
        assert bench.ask(text) == answer, text
    # Nothing of that was taken.
    assert bench.ask("R1|1.8.0()") == "1.8.0(001234.5*kWh)"
    assert bench.say(command("B0"), 300) == b"" and bench.at_rest()


def check_groups_as_siemens_readers_ask():
    bench = with_registers(Bench(listing="siemens"))
    bench.program()
    first = opened(bench.say(command("R2|F001") + b"\r\n", 800)).split("\r\n")
    second = opened(bench.say(command("R2|F009") + b"\r\n", 800)).split("\r\n")
    assert first[0] == "0.0.0(7359990000000017)" and "1.8.0(1234.567*kWh)" in first
    assert "1.7.0(1.725*kW)" in second and "1.8.0(1234.567*kWh)" not in second


def check_a_wrong_check_is_nak_and_a_cut_command_nothing():
    bench = with_registers(Bench())
    bench.program()
    good = command("R1|1.8.0()")
    for k in range(1, len(good) - 2):
        for mask in (1, 0x40):
            bad = bytearray(good)
            bad[k] ^= mask
            if bad[k] in (1, 3):
                continue
            assert bench.say(bytes(bad), 400) == b"\x15", (k, mask)
    for cut in range(1, len(good)):
        # What comes after a pause is a new command.
        assert bench.say(good[:cut], 1600) == b"", cut
        assert opened(bench.say(good, 400)) == "1.8.0(001234.5*kWh)"
    assert bench.say(b"\x01R1\x02" + b"9" * 200, 1600).count(b"\x15") <= 3
    assert opened(bench.say(good, 400)) == "1.8.0(001234.5*kWh)"
    # NAK asks for the answer once more, at most twice; then the meter signs off.
    for _ in range(2):
        assert opened(bench.say(b"\x15", 400)) == "1.8.0(001234.5*kWh)"
    assert bench.say(b"\x15", 400) == command("B0") and bench.at_rest()


def check_passwords_are_none_and_guessing_costs_time():
    bench = Bench()
    closed_s = 60
    for _ in range(3):
        for k in range(3):
            if not k:
                bench.program()
            answer = bench.say(command("P1|(000" + str(k) + ")"), 800)
            if k < 2:
                assert opened(answer) == "(ER06)"
        assert answer == command("B0") and bench.at_rest()
        # Closed for programming, and open for what everybody may read.
        assert bench.sign_on(b"051") == command("B0")
        assert opened(bench.sign_on(b"050"))[:4] == "F.F("
        bench.wait(1000 * closed_s - 40000)
        assert bench.sign_on(b"051") == command("B0")
        bench.wait(40000)
        closed_s *= 2
    bench.program()
    codes = [event[1] for event in bench.meter.events.entries()]
    assert 1 <= codes.count(46) <= 9


def check_silence_ends_it():
    bench = Bench()
    bench.program()
    bench.wait(58000)
    assert bench.ask("R1|0.0.0()") == "0.0.0(7359990000000017)"
    bench.wait(61000)
    assert bench.at_rest()
    # Whatever half a message there is when nobody goes on.
    for said in (b"/?", b"/?!\r", b"/?1234567890123456789012345678901234567890", b"\x06", b"/"):
        bench.say(said, 3000)
        assert bench.at_rest()
        assert opened(bench.sign_on(b"050"))[:4] == "F.F("
        bench.wait(2000)


def check_who_speaks_while_the_meter_does_ends_it():
    bench = Bench()
    bench.say(SIGN_ON, 800)
    # Another client begins while it is at it: a message of five octets does.
    bench.line.coming += [(bench.line.now_ms + 4000 + 33 * k, 0x2F) for k in range(5)]
    heard = bench.say(b"\x06000\r\n", 1400)
    assert 60 < len(heard) < 120 and bench.at_rest(), len(heard)
    bench.wait(2000)
    assert opened(bench.sign_on(b"050"))[:4] == "F.F("


def check_a_client_that_begins_anew_is_answered_at_once():
    """Behind the B0 of the last session, in a readout's wait for a NAK, amid programming mode."""
    for goodbye in (b"", b"\x06", command("B0")):
        bench = with_registers(Bench())
        bench.say(SIGN_ON, 1000)
        # Mode A, and its own rate stays: the next client needs no other.
        bench.say(b"", 800)
        assert bench.meter.link.service._reading is not None
        assert bench.say(goodbye + SIGN_ON, 800) == IDENTIFICATION, goodbye
        assert opened(bench.say(b"\x06050\r\n", 1400)) == LANDIS
    for goodbye in (b"", command("B0"), command("R1|0.0.0()")[:-2]):
        bench = with_registers(Bench())
        assert opened(bench.sign_on(b"001"), b"\x01") == "P0\x02()"
        heard = bench.say(goodbye + SIGN_ON, 800)
        if goodbye[:2] != b"\x01R":
            assert heard == IDENTIFICATION, goodbye
    # A port without rates, such as TCP: what was begun at another rate is no reason to wait.
    bench = with_registers(Bench())
    bench.meter.link.service.line = None
    assert opened(bench.sign_on(b"051"), b"\x01") == "P0\x02()"
    assert bench.say(SIGN_ON, 800) == IDENTIFICATION


def check_a_head_that_hears_itself_is_no_client():
    bench = with_registers(Bench(echo=True))
    assert opened(bench.sign_on(b"050")) == LANDIS
    bench.wait(2000)
    bench.program()
    assert bench.ask("R1|1.8.0()") == "1.8.0(001234.5*kWh)"
    assert bench.say(b"\x01R1\x03x", 800) == b"\x15"
    assert bench.ask("R1|1.8.0()") == "1.8.0(001234.5*kWh)"


def check_random_octets_end_in_rest():
    for seed in range(6):
        random = flash_lab.Random(seed)
        bench = Bench()
        if seed & 1:
            bench.program()
        else:
            bench.say(SIGN_ON, 800)
        alphabet = b"\x01\x02\x03\x04\x06\x15/?!()R15P0B\r\n;.\x7e\xff\x00"
        for _ in range(20):
            data = bytes([alphabet[random.below(len(alphabet))] for _ in range(random.below(60))])
            bench.say(data, 300)
        bench.wait(64000)
        assert bench.at_rest(), seed
        assert opened(bench.sign_on(b"050"))[:4] == "F.F("


# --- profile and log ---------------------------------------------------------------------------


def days(hours, start_ms=START_MS):
    """A meter with a flash behind some hours of quarters: import, every fifth export."""
    flash = flash_lab.LabFlash(256)
    global START_MS
    before, START_MS = START_MS, start_ms
    bench = Bench(flash=flash)
    START_MS = before
    meter = bench.meter
    meter.set_capture_period(900)
    end = start_ms + hours * 3600000
    raw = start_ms - start_ms % 900000 + 900000
    hold(meter, start_ms, raw - start_ms, flash_lab.LabClock())
    k = 0
    while raw < end:
        flash_lab.set_power(meter, -900 if k % 5 == 4 else 300 + k * 79 % 4000)
        hold(meter, raw, 900000, flash_lab.LabClock())
        raw += 900000
        k += 1
    meter.tick(raw)
    return bench


def check_the_load_profile():
    bench = days(5)
    bench.program()
    text = bench.ask("R5|P.01(;)")
    lines = text[:-2].split("\r\n")
    assert lines[0] == (
        "P.01(1260630234500)(00000004)(05)(4)(1.29.0)(kWh)(2.29.0)(kWh)(3.29.0)(kvarh)(4.29.0)"
        "(kvarh)"
    )
    assert lines[2][:35] == "P.01(1260701000000)(00000000)(15)(4"
    rows = [line for line in lines if line[0] == "("]
    entries = flash_lab.entries(bench.meter)
    assert len(rows) == len(entries) == 21
    for k in range(21):
        row, entry = rows[k], entries[k]
        values = [f"0.{value:06d}" for value in entry[4:]]
        assert row == "(" + ")(".join(values) + ")", (row, values)
    # A range, by its ends; standard time, summer time and UTC say the same.
    for asked in ("1260701010000;1260701020000", "0260701000000;0260701010000",
                  "2260630230000;2260701000000", "2607010100;2607010200",
                  "126070101;"[:0] + "12607010100;12607010200"):  # fmt: skip
        part = bench.ask("R5|P.01(" + asked + ")")[:-2].split("\r\n")
        assert part[0][:19] == "P.01(1260701010000)" and len(part) == 6, (asked, part)
    assert bench.ask("R5|P.01(;0260101000000)") == "P.01(ERROR)\r\n"
    # In blocks: NAK gives the same once more, ACK the next; the text is the same.
    out = ""
    message = bench.say(command("R6|P.01(;)(7)"), 400)
    while message[-2:-1] == b"\x04":
        assert bench.say(b"\x15", 400) == message
        block = opened(message, end=b"\x04")
        assert block.count("\r\n") == 7
        out += block
        message = bench.say(b"\x06", 400)
    assert out + opened(message) == text
    assert opened(bench.say(b"\x15", 400)) == opened(message)
    assert bench.say(b"\x06", 400) == b""
    third = bench.say(command("R6|P.01(;;3)()"), 400)
    assert opened(third, end=b"\x04").count("\r\n") in (3, 16)


def check_the_hour_that_comes_twice():
    bench = days(4, utc_ms_of(2026, 10, 24, 23, 0))  # 01:00 of summer time
    bench.program()
    lines = bench.ask("R5|P.01()").split("\r\n")
    heads = [line[5:29] for line in lines if line[:2] == "P."]
    assert heads == ["1261025011500)(00000000)", "0261025020000)(00000008)",
                     "0261025021500)(00000000)"], heads  # fmt: skip
    assert len([line for line in lines if line[:1] == "("]) == 16
    first = bench.ask("R5|P.01(1261025020000;1261025024500)")
    second = bench.ask("R5|P.01(0261025020000;0261025024500)")
    assert first != second and first.count("\r\n") == second.count("\r\n") == 5


def check_the_log():
    bench = days(1)
    bench.meter.adjust_clock(bench.meter.utc_ms + 5000000)
    bench.wait(10)
    bench.program()
    lines = bench.ask("R5|P.98()")[:-2].split("\r\n")
    assert lines[0] == "P.98(1260630234000)(00000040)()(1)(96.11.0)()(2)"
    assert [line.split("(")[2] for line in lines[-2:]] == ["00000020)"] * 2
    assert lines[-1][-4:] == ")(5)"
    assert bench.ask("R6|P.98(;)")[:-2].split("\r\n") == lines


def main():
    names = sorted(name for name in globals() if name[:6] == "check_")
    for name in names:
        globals()[name]()
    print(len(names))
