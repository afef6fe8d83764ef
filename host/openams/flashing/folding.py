"""Constants that one module has for others, put where they are used.

MicroPython does so within a module, for names that begin with `_`. A public one it keeps with its
name, in the modules that define and import it: in code of files all of that is RAM, some 30 octets
for each, and a Pico that has its meter as files needs them for the meter.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

Constants = dict[str, dict[str, int]]  # by module, as it is imported


def folded(modules: Mapping[str, str], asked: Iterable[str] = ()) -> dict[str, str]:
    """The sources of `modules` (by place, `ams/storage/layout`) without public constants; `asked`
    are texts whose names stay: what else runs on the board may ask for them."""
    trees = {_name(place): ast.parse(source) for place, source in modules.items()}
    constants = {name: _constants(tree) for name, tree in trees.items()}
    for name, tree in trees.items():
        _Uses(constants, name, tree).visit(tree)
    kept = {word for text in asked for word in re.findall(r"\b[A-Z]\w*", text)}
    for tree in trees.values():
        kept |= _still_asked(tree)
    for name, tree in trees.items():
        _drop(tree, {one for one in constants[name] if one not in kept})
    return {place: ast.unparse(trees[_name(place)]) for place in modules}


def _name(place: str) -> str:
    return place.removesuffix("/__init__").replace("/", ".")


def _constants(tree: ast.Module) -> dict[str, int]:
    """Those that are numbers as they stand, and are set once."""
    found: dict[str, int] = {}
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="const"), args=[value]),
            ) if not name.startswith("_"):
                try:
                    number = ast.literal_eval(value)
                except ValueError:
                    continue
                if isinstance(number, int):
                    found[name] = number
    stored = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_set(n)]
    arguments = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    return {
        name: number
        for name, number in found.items()
        if stored.count(name) == 1 and name not in arguments
    }


def _is_set(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


class _Uses(ast.NodeTransformer):
    """Puts numbers where a module names constants, its own and those of others."""

    def __init__(self, constants: Constants, module: str, tree: ast.Module) -> None:
        self._constants = constants
        self._own = dict(constants[module])
        self._aliases: dict[str, str] = {}  # how a module is called here, and which it is
        taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_set(n)}
        self._taken = taken | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self._learn(node)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname or "." not in alias.name:
                        self._alias(alias.asname or alias.name, alias.name)

    def _learn(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._alias(alias.asname or alias.name, f"{node.module}.{alias.name}")
            number = self._constants.get(node.module or "", {}).get(alias.name)
            if number is not None and (alias.asname or alias.name) not in self._taken:
                self._own[alias.asname or alias.name] = number

    def _alias(self, called: str, module: str) -> None:
        if module in self._constants and called not in self._taken:
            self._aliases[called] = module

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        known = self._constants.get(node.module or "", {})
        node.names = [
            alias
            for alias in node.names
            if alias.name not in known or (alias.asname or alias.name) not in self._own
        ]
        return node if node.names else None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if _is_set(node) or node.id not in self._own:
            return node
        return ast.Constant(self._own[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        match node:
            case ast.Attribute(value=ast.Name(id=called), attr=name, ctx=ast.Load()):
                number = self._constants.get(self._aliases.get(called, ""), {}).get(name)
                if number is not None:
                    return ast.Constant(number)
        self.generic_visit(node)
        return node


def _still_asked(tree: ast.Module) -> set[str]:
    """Names that a module asks another for, or an object: whose they are is not known here."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return names


def _drop(tree: ast.Module, names: set[str]) -> None:
    tree.body = [
        node
        for node in tree.body
        if not (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in names
        )
    ]
    if not any(isinstance(node, ast.Name) and node.id == "const" for node in ast.walk(tree)):
        for node in list(tree.body):
            if isinstance(node, ast.ImportFrom) and node.module == "micropython":
                node.names = [alias for alias in node.names if alias.name != "const"]
                if not node.names:
                    tree.body.remove(node)
    if not tree.body:
        tree.body = [ast.Pass()]
