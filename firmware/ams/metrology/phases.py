"""Which phase is open, or the neutral: from all voltages and the angles between them.

An open phase is seldom without voltage: loads behind the break pull it to the others. On an IT
net, and on any net with loads between phases, it comes to lie on the line between the two that
are left, at half of the nominal voltage from both when the loads are alike. So it is the shape
that tells: the triangle of the three phases has lost its height. A neutral that is open leaves
the triangle as it is and moves away from its middle.

Voltages are in permille of the nominal one; sides and places stand as in `Quantities`: L1-L2,
L1-L3, L2-L3. Bit k is phase k, NEUTRAL the neutral. `before` is what was said last: what is lost
must come back further than it went.
"""

from micropython import const

from ams.metrology.fixed import isqrt

NEUTRAL = const(8)
ALL = const(7)

# Far above what EN 50160 allows of unbalance (2 to 3 %); a dip passes sooner than it is told.
_SOUND_LOW, _SOUND_HIGH = const(800), const(1250)
# A side of this length has a supply at both ends.
_SUPPLIED = const(750)
# Heights of the triangle: the nominal one is 866.
_FLAT, _FLAT_BACK = const(433), const(520)
_SOUND_HEIGHT = const(650)
_HALF, _HALF_BACK = const(500), const(600)
# How far the middle of the triangle is from the neutral.
_MOVED, _MOVED_BACK = const(150), const(100)
# The same where the neutral's current is known and is none (a twentieth of the largest): loads at
# voltages that have moved so far leave 18 % of theirs in a whole one, wherever that moved them.
_MOVED_IDLE, _MOVED_IDLE_BACK = const(60), const(40)
_LOADED_UA = const(500000)
_IDLE_PART = const(20)
_SWOLLEN = const(1300)
_ROOT3 = const(1732)
_SIDES = [0, 0, 0]


def factor(scale_pv, nominal_mv):
    """What `point` takes: of a channel of so many picovolt a code."""
    # RMS of a fundamental is root 2 of its sum, over the samples and the reference's 2**13.
    return (64 * scale_pv * 1414214 << 60) // (nominal_mv * 8192 * 10**12)


def point(phasor, per_code, weight):
    """(x, y) of a voltage's phasor in permille of the nominal voltage."""
    per_code //= weight
    return phasor[0] * per_code >> 60, phasor[1] * per_code >> 60


def _height_squared(sides, over):
    """Of the triangle of these sides, over the side `over`."""
    a, b, c = sides[0] * sides[0], sides[1] * sides[1], sides[2] * sides[2]
    # Heron: sixteen times the square of the area.
    area = 2 * (a * b + b * c + c * a) - a * a - b * b - c * c
    return max(area, 0) // (4 * over * over)


def open_of_sides(sides, currents, before=0):
    """Bits of the phases that are open, from the three voltages between them."""
    least, most = min(sides), max(sides)
    if least >= _SOUND_LOW and most <= _SOUND_HIGH:
        return 0
    if most < (_HALF_BACK if before == ALL else _HALF):
        return ALL
    if before == ALL:
        before = 0
    if most < _SUPPLIED:
        # A dip of all three says nothing new.
        return before
    flat = _FLAT_BACK if before else _FLAT
    if _height_squared(sides, most) >= flat * flat:
        return 0
    # The longest side is between those that are left.
    found = 0
    for k in range(3):
        if sides[k] * 10 >= most * 9:
            phase = 2 - k
            # Where two are as long, either end of the short one may be open: that which was
            # so before, or where less current flows.
            if not found or 1 << phase == before:
                found = 1 << phase
                current = currents[phase]
            elif found != before and currents[phase] < current:
                found = 1 << phase
                current = currents[phase]
    return found


def open_of_phases(voltages, points, currents, before=0, neutral_ua=None):
    """The same from the voltages to the neutral and their points in the plane; NEUTRAL too.

    `points` None: the angles are not known, the voltages alone tell. `neutral_ua`: the neutral's
    current, where it is measured.
    """
    least, most = min(voltages), max(voltages)
    if most < (_HALF_BACK if before & ALL == ALL else _HALF):
        return ALL
    lost = 0
    for k in range(3):
        if voltages[k] < (_HALF_BACK if before >> k & 1 else _HALF):
            lost |= 1 << k
    if points is None:
        return lost | before & NEUTRAL
    x1, y1 = points[0]
    x2, y2 = points[1]
    x3, y3 = points[2]
    x, y = x1 + x2 + x3, y1 + y2 + y3
    moved_most, moved_back = _MOVED, _MOVED_BACK
    if neutral_ua is not None:
        most_ua = max(currents)
        if most_ua > _LOADED_UA and neutral_ua * _IDLE_PART < most_ua:
            moved_most, moved_back = _MOVED_IDLE, _MOVED_IDLE_BACK
    near = 2 * moved_back
    if least > 850 and most < 1150 and -near < x < near and -near < y < near:
        return 0
    sides = _SIDES
    sides[0] = _side(x1 - x2, y1 - y2)
    sides[1] = _side(x1 - x3, y1 - y3)
    sides[2] = _side(x2 - x3, y2 - y3)
    longest = max(sides)
    if (
        min(sides) >= _SUPPLIED
        and longest <= _SOUND_HIGH
        and _height_squared(sides, longest) >= _SOUND_HEIGHT * _SOUND_HEIGHT
    ):
        moved = isqrt(x * x + y * y) // 3
        return NEUTRAL if moved > (moved_back if before & NEUTRAL else moved_most) else 0
    if lost:
        return lost
    if most > _SWOLLEN:
        # No net does this: the wires are on the wrong terminals.
        return before & ALL
    if longest < _HALF:
        # All three hang on one; it carries what the others draw.
        fed = 0
        for k in (1, 2):
            if currents[k] > currents[fed]:
                fed = k
        return ALL & ~(1 << fed)
    return open_of_sides(sides, currents, before & ALL)


def _side(x, y):
    return isqrt(x * x + y * y) * 1000 // _ROOT3
