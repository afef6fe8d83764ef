"""Integer square root, angle and rotation against CPython's floats."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ams.metrology.fixed import (
    ONE,
    _root,
    angle,
    div_rounded,
    isqrt,
    rotation,
    sqrt_rounded,
)

NATURAL = st.integers(min_value=0, max_value=1 << 140)


@given(NATURAL)
def test_isqrt_is_the_floor(value):
    assert isqrt(value) == math.isqrt(value)


@given(st.integers(0, (1 << 58) - 1))
def test_the_root_of_the_chip_is_the_same(value):
    assert _root(value >> 30, value & 0x3FFFFFFF) == math.isqrt(value)
    root = math.isqrt(value)
    for edge in (root * root - 1, root * root, root * root + 2 * root):
        if 0 <= edge < 1 << 58:
            assert _root(edge >> 30, edge & 0x3FFFFFFF) == math.isqrt(edge)


def test_roots_on_the_vm(micropython):
    script = """
from ams.metrology.fixed import isqrt, isqrt_plain
state = 1
for k in range(3000):
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    root = state >> k % 30
    value = root * (state >> 3 & 0xFFFF) + 1
    for of in (value, root * root, root * root - 1, root * root + 2 * root, root << 27):
        assert of < 1 or isqrt(of) == isqrt_plain(of), of
print("equal")
"""
    assert micropython(script) == "equal\n"


@given(NATURAL)
def test_sqrt_rounded_is_the_nearest(value):
    root = sqrt_rounded(value)
    assert (2 * root - 1) ** 2 <= 4 * value or root == 0
    assert 4 * value < (2 * root + 1) ** 2


@given(st.integers(-(1 << 100), 1 << 100), st.integers(1, 1 << 60))
def test_div_rounded_is_within_a_half(numerator, denominator):
    assert abs(2 * (div_rounded(numerator, denominator) * denominator - numerator)) <= denominator


@given(st.integers(-(1 << 62), 1 << 62), st.integers(-(1 << 62), 1 << 62))
def test_angle_is_within_two_units(x, y):
    truth = math.atan2(y, x) / (2 * math.pi) * (1 << 24)
    error = (angle(x, y) - truth + (1 << 23)) % (1 << 24) - (1 << 23)
    assert abs(error) <= 2


@given(st.integers(1, 1 << 90), st.integers(-(1 << 28), 1 << 28))
def test_small_angles_are_within_two_units(x, per_turn):
    y = x * per_turn >> 33
    truth = math.atan2(y, x) / (2 * math.pi) * (1 << 24)
    assert abs(angle(x, y) - truth) <= 2


def test_angle_of_nothing_is_zero():
    assert angle(0, 0) == 0


@given(st.integers(-200_000, 200_000))
def test_rotation(urad):
    cos, sin = rotation(urad)
    assert abs(cos / ONE - math.cos(urad / 1e6)) < 1e-7
    assert abs(sin / ONE - math.sin(urad / 1e6)) < 1e-7
