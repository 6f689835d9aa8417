"""RTLIL text made small and readable: equal modules become one, every name a plain identifier.

Amaranth writes one module per instance, with a number behind names that occur twice. Here, from the leaves up, numbered names become
`name`, `name_2`, ... in order of appearance, modules with equal text are merged, and `top.a.b` becomes `top_a_b`, or `top_b` where
several instances share it.
"""

import re
from dataclasses import dataclass

from bwnhw.rtl.tidy import NAME, free_name, own_names, plain_names, tidied

KEPT = ("carries", "chain", "choice", "decoder", "matches", "tree")
"""Instances whose modules synthesis maps apart from what surrounds them. A mapper that is free to look across registers and modules aims
for the longest path of the whole and takes more LUTs for the short ones."""
_INSTANCE = re.compile(r"  cell (\\\S+) (\\\S+)")


@dataclass(frozen=True)
class _Module:
    """One module of the text: its name without the backslash, and the lines between `module` and `end`."""

    name: str
    lines: tuple[str, ...]

    @property
    def children(self) -> list[str]:
        """Names of the modules that it has instances of, in order, repeated."""
        return [match[1][1:] for line in self.lines if (match := _INSTANCE.match(line))]


@dataclass(frozen=True)
class _Merged:
    """What became of a module: index of its text among the different ones, and the new names of its identifiers."""

    text: int
    names: dict[str, str]


def merge(rtlil: str, top: str) -> str:
    """The same design in as few modules as there are different ones; `top` is the top module's name and every name's prefix."""
    modules = {module.name: module for module in _split(rtlil)}
    merged: dict[str, _Merged] = {}
    texts: dict[tuple[str, ...], int] = {}
    users: list[list[str]] = []
    for name in _children_first(modules, top):
        lines = tidied(modules[name].lines)
        names = plain_names(lines)
        text = _rewrite(lines, names, merged)
        index = texts.setdefault(text, len(texts))
        if index == len(users):
            users.append([])
        users[index].append(name)
        merged[name] = _Merged(index, names)
    final = _module_names(users, top)
    parts = []
    for text, index in reversed(texts.items()):
        named = (re.sub(r"  cell \\(\d+) ", lambda match: f"  cell \\{final[int(match[1])]} ", line) for line in text)
        kept = ['attribute \\keep_hierarchy "yes"'] if _kind(users[index][0]) in KEPT else []
        parts.append("\n".join([*kept, f"module \\{final[index]}", *named, "end", ""]))
    return "\n".join(parts)


def _split(rtlil: str) -> list[_Module]:
    """The modules of the text; attributes in front of them are dropped."""
    modules: list[_Module] = []
    name = ""
    lines: list[str] = []
    for line in rtlil.splitlines():
        if line.startswith("module "):
            name, lines = line.split()[1][1:], []
        elif line == "end":
            modules.append(_Module(name, tuple(lines)))
            name = ""
        elif name and line.strip():
            lines.append(line)
    return modules


def _children_first(modules: dict[str, _Module], top: str) -> list[str]:
    """Every module that is used, after those that it uses."""
    order: dict[str, None] = {}
    stack = [(top, False)]
    while stack:
        name, ready = stack.pop()
        if ready:
            order[name] = None
        elif name not in order:
            stack.append((name, True))
            stack += [(child, False) for child in reversed(modules[name].children)]
    return list(order)


def _rewrite(lines: tuple[str, ...], names: dict[str, str], merged: dict[str, _Merged]) -> tuple[str, ...]:
    """The lines with new names; an instance's type becomes the index of its text, its ports what that module calls them."""
    def renamed(text: str, table: dict[str, str]) -> str:
        def new(match: re.Match[str]) -> str:
            name = match[0].lstrip("\\")
            return match[0][:len(match[0]) - len(name)] + table.get(name, name)

        return NAME.sub(new, text)

    rewritten: list[str] = []
    ports: dict[str, str] | None = None  # of the cell that the line is in
    begin = 0  # of the cell's connections
    for line in lines:
        if instance := _INSTANCE.match(line):
            child = merged[instance[1][1:]]
            ports, begin = child.names, len(rewritten) + 1
            line = f"  cell \\{child.text} {renamed(instance[2], names)}"
        elif line.startswith("  cell "):
            ports, begin = {}, 0
        elif line == "  end" and ports is not None:
            rewritten[begin:] = sorted(rewritten[begin:]) if begin else rewritten[begin:]
            ports = None
        elif line.startswith("    connect ") and ports is not None:
            _, port, value = line.split(maxsplit=2)
            line = f"    connect {renamed(port, ports)} {renamed(value, names)}"
        elif own_names(line):
            line = renamed(line, names)
        rewritten.append(line)
    return tuple(rewritten)


def _kind(path: str) -> str:
    """What an instance is: its name without the numbers of rows, columns and the like."""
    return re.sub(r"(_[rc]?\d+)+$", "", path.rsplit(".", 1)[-1])


def _module_names(users: list[list[str]], top: str) -> list[str]:
    """For every text its module's name: the path of its only instance, or what its instances are."""
    taken: set[str] = {top}
    final = []
    for paths in users:
        if paths == [top]:
            final.append(top)
            continue
        final.append(free_name(f"{top}_{_kind(paths[0])}" if len(paths) > 1 else paths[0].replace(".", "_"), taken))
        taken.add(final[-1])
    return final
