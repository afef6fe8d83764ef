"""Viper and plain twins of the work on octets agree; the CRC is the one of the standard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ams.crypto import octets


def test_check_value():
    assert octets.crc16(b"123456789", 0, 9) == 0x906E
    assert octets.crc16(b"xx123456789x", 2, 11) == 0x906E


@given(st.binary(max_size=300), st.data())
def test_twins(data, draw):
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    begin = draw.draw(st.integers(0, 0xFFFF))
    view = memoryview(data)
    assert octets.crc16_more_plain(begin, view, start, end) == octets.crc16_more_viper(
        begin, data, start, end
    )
    value = draw.draw(st.integers(0, 255))
    at = octets.find_plain(data, value, start, end)
    assert at == octets.find_viper(data, value, start, end)
    assert at == (data.find(value, start, end) if value in data[start:end] else end)
    plain, viper = bytearray(data), bytearray(data)
    to = draw.draw(st.integers(0, start))  # downwards, as within one buffer
    octets.copy_plain(plain, to, plain, start, end - start)
    octets.copy_viper(viper, to, viper, start, end - start)
    assert plain == viper == data[:to] + data[start:end] + data[to + end - start :]


def test_viper_on_micropython(micropython):
    script = """
from ams.crypto import octets
data = bytearray(bytes(range(256)) * 3)
print([octets.crc16(data, at, 700) for at in (0, 1, 500)])
print(octets.find(data, 7, 8, 700), octets.find(memoryview(data)[10:], 9, 0, 50))
octets.copy(data, 5, data, 100, 600)
print(octets.crc16(data, 0, 768))
"""
    out = micropython(script).splitlines()
    data = bytearray(range(256)) * 3
    assert out[0] == str([octets.crc16(data, at, 700) for at in (0, 1, 500)])
    assert out[1] == "263 50"
    octets.copy(data, 5, data, 100, 600)
    assert out[2] == str(octets.crc16(data, 0, 768))
