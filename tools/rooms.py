"""Which room may import which, for firmware and host; writes the tables of docs/architecture.md.

Without an option it writes, with --check it only compares. tests/unit/test_arrows.py holds the code
to these tables.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
TREES = {"ams": ROOT / "firmware" / "ams", "openams": ROOT / "host" / "openams"}
# Not the project's own imports: they stand in for MicroPython's modules, or run on it.
APART = ("shims", "boardshims")

# In the order of what stands on what.
FIRMWARE = {
    "results": "",
    "crypto": "",
    "hal": "",
    "events": "",
    "storage": "results",
    "clock": "events",
    "metrology": "events",
    "faults": "clock events",
    "mbus": "storage",
    "control": "clock events hal metrology",
    "registers": "clock events metrology storage",
    "modbus": "faults metrology registers storage",
    "display": "control faults registers",
    "update": "clock crypto events results storage",
    "cosem": "clock crypto events registers results",
    "objects": "clock control cosem crypto events faults mbus registers results storage",
    "han": "clock control cosem crypto events faults metrology registers results storage",
    "home": "clock control crypto events faults hal han objects registers results storage",
    "link": "cosem events faults storage update",
    "meter": "clock control events faults han home link metrology modbus objects registers storage",
}
HOST = {
    "emulator": "",
    "errors": "",
    "keyboard": "",
    "progress": "",
    "serialport": "",
    "terminal": "",
    "gs1": "errors",
    "listening": "errors",
    "meter_time": "errors",
    "places": "errors",
    "private": "errors",
    "csvtable": "errors private",
    "grid": "errors meter_time",
    "han": "errors meter_time",
    "keys": "errors han places private terminal",
    "client": "errors gs1 han keys meter_time serialport",
    "concentrator": "client csvtable errors gs1 keys meter_time private",
    "control": "client csvtable errors keys places private",
    "lines": "client emulator errors private serialport",
    "runtimes": "emulator errors grid keys lines meter_time places private progress",
    "bench": "client csvtable errors grid han keys lines meter_time progress runtimes terminal",
    "field": "client concentrator csvtable errors grid gs1 han keys "
    "listening meter_time places private runtimes",
    "flashing": "errors places runtimes serialport",
    "hil": "bench client errors field grid han keys lines meter_time runtimes serialport",
    "image": "client errors flashing keys meter_time places private",
    "web": "bench client control errors han listening meter_time runtimes",
    "faultlab": "bench emulator errors grid image keys places runtimes",
    "headend": "client control csvtable errors gs1 han image keys listening meter_time private",
    "chain": "client concentrator errors field headend keys meter_time progress terminal",
    "cli": "bench chain client concentrator control csvtable errors faultlab field flashing grid "
    "gs1 han headend image keyboard keys lines listening meter_time private progress runtimes "
    "serialport terminal web",
    "entry": "cli",
    "__main__": "entry",
}
ARROWS = {
    "ams": {room: set(seen.split()) for room, seen in FIRMWARE.items()},
    "openams": {room: set(seen.split()) for room, seen in HOST.items()},
}


def modules(tree: str) -> dict[str, Path]:
    """Name and file of each module of a tree."""
    root = TREES[tree]
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not set(parts) & set(APART):
            found[".".join([tree, *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


def imports(tree: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the same tree that a file imports, when it is loaded or later; not what only the
    checker of types sees."""
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == tree:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        else:
            nodes += ast.iter_child_nodes(node)


def room(module: str) -> str:
    """The folder at the top, or the loose file; "" the package itself."""
    return [*module.split("."), ""][1]


def arrows(tree: str) -> dict[str, set[str]]:
    """{room: rooms that it imports} of the code as it is."""
    known = modules(tree)
    out: dict[str, set[str]] = {}
    for module, path in known.items():
        seen = out.setdefault(room(module), set())
        seen |= {room(other) for other in imports(tree, path, known)}
    for name, seen in out.items():
        seen -= {"", name}
    return out


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that lead back to the first of them; none if there is no circle."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            found = walk(other, [*way, name])
            if found:
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        found = walk(name, [])
        if found:
            return found
    return []


def opening(path: Path) -> str:
    """The first sentence of a file."""
    text = path.read_text()
    doc = ast.get_docstring(ast.parse(text))
    if doc is None:
        lines = text.splitlines()
        doc = "\n".join(line[2:] for line in lines if line.startswith("# "))
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def table(tree: str) -> str:
    lines = ["| room | imports | what it is |", "| --- | --- | --- |"]
    for name, seen in ARROWS[tree].items():
        folder = TREES[tree] / name
        path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        shown = f"`{name}/`" if folder.is_dir() else f"`{name}.py`"
        others = ", ".join(sorted(seen)) or "nobody"
        lines.append(f"| {shown} | {others} | {opening(path)} |")
    return "\n".join(lines)


def page() -> str:
    text = PAGE.read_text()
    for tree in TREES:
        begin, end = f"<!-- rooms of {tree} -->\n", f"\n<!-- end of {tree} -->"
        head, rest = text.split(begin)
        text = head + begin + table(tree) + end + rest.split(end, 1)[1]
    return text


def main() -> None:
    if "--check" in sys.argv:
        if page() != PAGE.read_text():
            sys.exit("docs/architecture.md is not as tools/rooms.py writes it: run it")
    else:
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
