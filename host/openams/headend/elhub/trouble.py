"""A hub that is not well: away, late, speaking nonsense, answering half or twice, unsigned.

What is done to which request is drawn by a seed: the same requests have the same troubles.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

from openams.headend.elhub import soap, wire
from openams.headend.elhub.link import Line, Unanswered
from openams.headend.elhub.safexml import octets_of, parse

# away: nothing reaches the hub. deaf: it takes the message, its answer is lost. nonsense: a page of
# a gateway. half: the answer breaks off. unsigned: its signature is of somebody else, or gone.
# twice: the message comes to the hub twice.
TROUBLES = ("away", "deaf", "nonsense", "half", "unsigned", "twice")
_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class TroubledLine:
    """A line to a hub that is well, with troubles of the given probabilities."""

    def __init__(self, line: Line, rates: Mapping[str, float], seed: int) -> None:
        unknown = set(rates) - set(TROUBLES)
        if unknown:
            raise ValueError(f"no such trouble: {', '.join(sorted(unknown))}")
        self._line = line
        self._rates = dict(rates)
        self._dice = random.Random(seed)
        self.had: Counter[str] = Counter()

    def exchange(self, service: wire.Service, octets: bytes) -> tuple[int, bytes]:
        trouble = self._draw()
        self.had[trouble] += 1
        if trouble == "away":
            raise Unanswered("Elhub does not answer: connection refused")
        if trouble == "twice":
            self._line.exchange(service, octets)
        status, answer = self._line.exchange(service, octets)
        return _SPOILED.get(trouble, _well)(status, answer, self._dice)

    def _draw(self) -> str:
        number = self._dice.random()
        for name, rate in self._rates.items():
            if number < rate:
                return name
            number -= rate
        return ""


_Answer = tuple[int, bytes]


def _well(status: int, answer: bytes, dice: random.Random) -> _Answer:
    return status, answer


def _deaf(status: int, answer: bytes, dice: random.Random) -> _Answer:
    raise Unanswered("Elhub does not answer: timed out")


def _nonsense(status: int, answer: bytes, dice: random.Random) -> _Answer:
    return 502, _PAGE


def _half(status: int, answer: bytes, dice: random.Random) -> _Answer:
    return status, answer[: dice.randrange(len(answer))]


def _unsigned(status: int, answer: bytes, dice: random.Random) -> _Answer:
    root = parse(answer)
    header = root.find(f"{{{soap.ENV}}}Header")
    root.remove(header)
    return status, octets_of(root)


_SPOILED: dict[str, Callable[[int, bytes, random.Random], _Answer]] = {
    "deaf": _deaf,
    "nonsense": _nonsense,
    "half": _half,
    "unsigned": _unsigned,
}
