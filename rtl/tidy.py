"""One module of Amaranth's RTLIL text, made readable: lines in, lines out, same behaviour."""

import re
from collections import Counter

from bwnhw.rtl.names import is_plain

NAME = re.compile(r'\\+[^\s"\\]+')  # a public identifier; in a string (a memory's name) its backslash is doubled
WATCH = "watch"
"""Attribute of a signal whose name is to survive; its value is that name, since Amaranth hands attributes on to aliases. It becomes
`keep` with this value, which holds the name until the Verilog is written."""

Lines = tuple[str, ...]


def tidied(lines: Lines) -> Lines:
    """The lines of a module without what only Amaranth needs, and with its tables named."""
    return _named_tables(_sorted_ports(_without_aliases(_watched(_without_alias_values(_without_blank_memories(lines))))))


def own_names(line: str) -> list[str]:
    """Identifiers in a line, with their backslashes, that belong to the module itself: not a cell's type, its ports and parameters."""
    if line.startswith(("    connect ", "  cell ")):
        line = line.split(maxsplit=2)[2]
    elif line.startswith("    parameter "):
        line = line.split(maxsplit=2)[2] if "MEMID" in line else ""
    elif line.startswith("  attribute "):
        line = ""
    return NAME.findall(line)


def plain_names(lines: Lines) -> dict[str, str]:
    """New names for identifiers: what stands before the first `$`, with a number where that is taken; ports come first."""
    ports = [line for line in lines if _is_port(line)]
    found = dict.fromkeys(token.lstrip("\\") for line in (*ports, *lines) for token in own_names(line))
    taken: set[str] = set()
    names: dict[str, str] = {}
    for name in found:
        names[name] = free_name(name.split("$")[0] or "unnamed", taken)
        taken.add(names[name])
    return names


def free_name(base: str, taken: set[str]) -> str:
    """`base`, or `base_2`, `base_3`, ... where that is taken or a keyword. Raises ValueError where no identifier can come of it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", base):
        raise ValueError(f"emission: expected a generated identifier, found {base[:60]!a}")
    name, number = base, 1
    while name in taken or not is_plain(name):
        number += 1
        name = f"{base}_{number}"
    return name


def _is_port(line: str) -> bool:
    return re.match(r"  wire width \d+ (in|out)put ", line) is not None


def _without_blank_memories(lines: Lines) -> Lines:
    """Drop the all-zero contents of memories that are written: nothing is read from them before."""
    written = {lines[at + 1] for at, line in enumerate(lines) if line.startswith("  cell $memwr_v2")}
    kept: list[str] = []
    at = 0
    while at < len(lines):
        end = lines.index("  end", at) if lines[at].startswith("  cell $meminit_v2") else at
        blank = end > at and lines[at + 1] in written and any(re.fullmatch(r"    connect \\DATA \d+'0+", line) for line in lines[at:end])
        kept += [] if blank else lines[at:end + 1]
        at = end + 1
    return tuple(kept)


def _without_alias_values(lines: Lines) -> Lines:
    """Drop the reset values of wires that are no registers, which would keep Yosys from removing unused ones."""
    registers = {token for line in lines if line.startswith("    connect \\Q ") for token in NAME.findall(line)}
    return tuple(line for line, following in zip(lines, (*lines[1:], ""), strict=True)
                 if not line.startswith("  attribute \\init ") or following.split()[-1] in registers)


def _watched(lines: Lines) -> Lines:
    """Keep the names that are asked for."""
    kept: list[str] = []
    for line, following in zip(lines, (*lines[1:], ""), strict=True):
        if not line.startswith(f"  attribute \\{WATCH} "):
            kept.append(line)
        elif line.split('"')[1] == following.split()[-1][1:]:
            kept.append(f'  attribute \\keep "{WATCH}"')
    return tuple(kept)


def _without_aliases(lines: Lines) -> Lines:
    """Drop wires that only repeat another signal and that nobody reads; ports and wires with attributes stay."""
    uses = Counter(token for line in lines for token in own_names(line))
    fixed = {line.split()[-1] for before, line in zip(("", *lines), lines, strict=False)
             if _is_port(line) or line.startswith("  wire ") and before.startswith("  attribute ")}
    values = dict(line.split(maxsplit=2)[1:] for line in lines if re.match(r"connect \\\S+ (?!\[)", line))
    dropped: set[str] = set()
    while unread := [name for name in values if name not in fixed | dropped and uses[name] == 2]:
        dropped.update(unread)
        for name in unread:
            uses.subtract(NAME.findall(values[name]))
    return tuple(line for line in lines if not (line.startswith("connect ") and line.split(maxsplit=2)[1] in dropped
                                                or line.startswith("  wire ") and line.split()[-1] in dropped))


def _sorted_ports(lines: Lines) -> Lines:
    """Ports by name: their order follows from the surroundings of an instance, and would keep equal modules apart."""
    ports: list[Lines] = []
    others: list[str] = []
    attributes: Lines = ()
    for line in lines:
        if line.startswith("  attribute "):
            attributes = (*attributes, line)
            continue
        if _is_port(line):
            ports.append((*attributes, line))
        else:
            others += (*attributes, line)
        attributes = ()
    ports.sort(key=lambda group: group[-1].split()[-1].split("$")[0])
    numbered = ((*group[:-1], re.sub(r"put \d+ ", f"put {number} ", group[-1])) for number, group in enumerate(ports, 1))
    return (*(line for group in numbered for line in group), *others)


def _named_tables(lines: Lines) -> Lines:
    """Give processes a public name that hold more than conditions (tables, then), so that Yosys can be told to leave them as they are."""
    def is_table(at: int) -> bool:
        return any(re.match(r" +case \d", line) and not line.endswith("case 1'1") for line in lines[at:lines.index("  end", at)])

    return tuple(f"  process \\table_{at}" if line.startswith("  process ") and is_table(at) else line for at, line in enumerate(lines))
