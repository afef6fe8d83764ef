"""Mutated messages, the same on CPython and MicroPython: what to begin with, and what to change."""


class Random:
    """The same numbers on every VM."""

    def __init__(self, seed):
        self.state = (seed * 2654435761 + 88172645) & 0xFFFFFFFF or 1

    def below(self, count):
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return (x >> 3) % count

    def octets(self, count):
        return bytes(self.below(256) for _ in range(count))

    def choose(self, choices):
        return choices[self.below(len(choices))]


# Plain APDUs to begin with: one of each service and kind, right and nearly right.
APDUS = tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "601DA109060760857405080101BE10040E01000000065F1F0400FFFFFF0400",
        "601DA109060760857405080101BE10040E01000000065F1F0400001E1D000B",
        "6036A1090607608574050801018A0207808B0760857405080201AC0A80083132333435363738"
        "BE10040E01000000065F1F0400FFFFFF0400",
        "6200",
        "6203800100",
        "C001C100030100010800FF0200",
        "C001C100010000600100FF0200",
        "C001C1000F0000280000FF0200",
        "C001C1000F0000280000FF0100",
        "C001C1004000002B0001FF0500",
        "C001C100010000600100FF020101020412000809060000010000FF0F0212000009"
        "0C07E80A010200000000FFC400090C07E80A020300000000FFC4000100",
        "C001C100010000600100FF0201020204060000000106000000051200011200FF",
        "C002C100000001",
        "C002C1FFFFFFFF",
        "C003C102000301 00010800FF0200000301 00010800FF0300",
        "C003C1820100",
        "C101C100010000600100FF0200090568656C6C6F",
        "C101C100030100010800FF020006000000FF",
        "C102C100010000600100FF0200000000000105090A414243",
        "C103C1010000000205444546474849",
        "C104C102000100 00600100FF02000001 0000600100FF020002 0900 0900",
        "C105C10100010000600100FF02000000000001020109",
        "C301C100010000600100FF010100",
        "C301C100010000600100FF020109020102",
        "C302C100000001",
        "C303C101000100 00600100FF0101090100",
        "C304C100010000600100FF010000000001050909414243",
        "C305C1010001000060 0100FF0100000000010109",
        "C306C1010000000204 44454647",
        "C301C1000F0000280000FF01010911100000000100112233445566778899AABB",
        "C301C100400000 2B0000FF0101 1603",
        "C301C1004000002B0000FF02010101020216000918" + "00" * 24,
        "D8010203",
        "E0C00001000003C00181",
        "D920000000000100C100010000600100FF020000",
        "0F00000001000101",
        "C2000003010001080 0FF020600000001".replace(" ", ""),
        "DB084D4D4D0000BC614E1930000000010011223344556677889900112233445566778899AA",
        "C8193000000001001122334455667788990011223344556677889900",
        "2119300000000100112233445566778899001122334455667788990000",
    )
)
_LENGTHS = (0, 1, 2, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x84, 0x88, 0xFF)


def mutate(rng, data):
    """One to four changes of the kinds that find mistakes."""
    out = bytearray(data)
    for _ in range(1 + rng.below(4)):
        if not out:
            out = bytearray(rng.octets(1 + rng.below(4)))
        at = rng.below(len(out))
        kind = rng.below(9)
        if kind == 0:
            out[at] ^= 1 << rng.below(8)
        elif kind == 1:
            out[at] = rng.below(256)
        elif kind == 2:
            out[at] = rng.choose(_LENGTHS)
        elif kind == 3:
            out = out[:at]
        elif kind == 4:
            out = out[:at] + rng.octets(1 + rng.below(8)) + out[at:]
        elif kind == 5:
            out = out[:at] + out[at + 1 + rng.below(8) :]
        elif kind == 6:
            end = at + 1 + rng.below(16)
            out = out[:end] + bytes(out[at:end]) * (1 + rng.below(3)) + out[end:]
        elif kind == 7:
            other = rng.choose(APDUS)
            out = out[:at] + other[rng.below(len(other)) :]
        elif rng.below(20):
            out[at] = (out[at] + 1 + 254 * rng.below(2)) & 0xFF
        else:
            # Nested, or very long.
            out = out[:at] + bytes((1 + rng.below(2), 1)) * (50 * (1 + rng.below(9))) + out[at:]
    return bytes(out[:1500])


def nudge(rng, data):
    """One or two octets changed behind the first: mostly another value of the same form."""
    out = bytearray(data)
    for _ in range(1 + rng.below(2)):
        if len(out) > 1:
            out[1 + rng.below(len(out) - 1)] = rng.choose((0, 1, 0x7F, 0x80, 0xFF, rng.below(256)))
    return bytes(out)


def some_apdu(rng):
    apdu = rng.choose(APDUS)
    return mutate(rng, apdu) if rng.below(4) else apdu


# Values of all types, as they are written and as methods take them.
VALUES = tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "00", "0F00", "1600", "1602", "0300", "0301", "1100", "11FF", "1000FF", "12FFFF",
        "0600000384", "0600000E10", "05FFFFFFFF", "147FFFFFFFFFFFFFFF", "15FFFFFFFFFFFFFFFF",
        "0900", "090548656C6C6F", "0A0548656C6C6F", "0408A5", "0100", "0200",
        "090C07EA0B19FF0C0000FFFFC400", "090C07EA02300FFFFFFFFFFF8000", "0905FFFFFFFFFF",
        "0904FFFFFFFF", "010102020904000000000905FFFFFFFFFF", "02020906000A006A00FF120001",
        "0101020412000809060000010000FF0F02120000", "0203120008090600000100 00FF0F02",
        "02030600000000090C07E80A01FF00000000800000060000003C", "0203160009023132160 1",
        "0102020216000918" + "11" * 24 + "020216020918" + "22" * 24,
        "02020906 0001020304050600000064", "82FFFF", "0182FFFF", "1D0102030405", "0D00",
    )
)  # fmt: skip
SELECTIONS = tuple(
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "01020402041200080906 0000010000FF0F02120000090C07E80A010200000000FFC400"
        "090C07EA0A020300000000FFC4000100",
        "01020402041200080906 0000010000FF0F02120000190707E80A0102000000 00FFC400"
        "1907EA0A020300000000FFC400010102041200030906 01000 10800FF0F02120000",
        "02020406000000010600000000120001120000",
        "020204060000000206000000031200021200 02",
        "0202040600000009060000000112FFFF12FFFF",
        "00",
        "FF00",
    )
)
