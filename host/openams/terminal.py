"""What is printed, in one place: texts of files, meters and networks do nothing to a terminal.

An event, a plan or a frame may hold what a terminal obeys: it would move the cursor, hide a
line, turn the direction of writing or name the window. All that is shown as an escape that can
be read. `guard` does it to every text that goes to the standard streams, `console` to what rich
draws, whose markup is off; `say` also keeps a value from making lines of its own.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

# Controls of 7 and 8 bits, what turns or hides text (Unicode's Bidi_Control, fillers, tags), line
# and paragraph separators, and octets of a name that were no text.
_OBEYED = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
_OF_STREAMS = re.compile(f"[{_OBEYED}]")
_OF_LINES = re.compile(f"[\t\n{_OBEYED}]")


def _escape(found: re.Match[str]) -> str:
    # As JSON writes it, whose line this may be: in units of UTF-16.
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))


def clean(text: str) -> str:
    """With nothing in it that a terminal obeys, but for new lines and tabs."""
    return _OF_STREAMS.sub(_escape, text)


def one_line(text: str) -> str:
    """The same, and one line."""
    return _OF_LINES.sub(_escape, text)


def say(text: str, error: bool = False) -> None:
    """Prints one line, whatever the values in it hold; at once, for whoever follows."""
    print(one_line(text), file=sys.stderr if error else sys.stdout, flush=True)


def say_lines(text: str) -> None:
    """The same of a text whose lines are its writer's own, and hold nothing of others."""
    for line in text.rstrip("\n").split("\n"):
        say(line)


class _Guarded:
    """A text stream that passes on what is harmless, as far as its encoding goes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        harmless = clean(text)
        try:
            self.stream.write(harmless)
        except UnicodeEncodeError as error:
            self.stream.write(
                harmless.encode(error.encoding, "backslashreplace").decode(error.encoding)
            )
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _bare(stream: TextIO) -> TextIO:
    return stream.stream if isinstance(stream, _Guarded) else stream


def install() -> None:
    """Guards the standard streams from here on."""
    sys.stdout, sys.stderr = (
        cast(TextIO, _Guarded(_bare(stream))) for stream in (sys.stdout, sys.stderr)
    )


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Guards them for as long as it is open."""
    before = sys.stdout, sys.stderr
    install()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(error: bool = False) -> Console:
    """rich's console, which draws with escapes of its own, and none of what it is given."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.text import Text

    class Harmless(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            # Before it is laid out: an escape is wider than what it stands for.
            return super().render_str(clean(text), **options)

        def render(
            self, renderable: Any, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control or segment.text == clean(segment.text):
                    yield segment
                else:
                    yield Segment(clean(segment.text), segment.style)

    stream = _bare(sys.stderr if error else sys.stdout)
    return Harmless(file=stream, markup=False, emoji=False, highlight=False)
