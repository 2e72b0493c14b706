#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which file uses which, by the symbols of the objects; is that what docs/design.md allows?

  layers.py           check: exit status 1 when a room uses one that it may not use, or when files
                      use one another in a circle
  layers.py arrows    print every use: the file, the file that it uses, and the symbols

The rooms and what each may use are the table "## Rooms" of docs/design.md. Calls from and to
assembly count as those of C do: all of them are undefined symbols of one object that another
object defines. So do constants and variables.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs/design.md"
# The folder of the objects of each program, and which objects below it are its own.
PROGRAMS = {"vmm": ("vmm", "lib")}


class Table:
    """Rows `| room | holds | may use |` of the section "## Rooms"."""

    def __init__(self, text):
        section = re.search(r"^## Rooms$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        rows = re.findall(r"^\| `([\w/]+)/` \|.*\|([^|]*)\|$", section[1], re.MULTILINE)
        if not rows:
            raise ValueError(f"{TABLE}: the section Rooms has no table")
        self.direct = {room: re.findall(r"`([\w/]+)/`", uses) for room, uses in rows}
        for room, uses in self.direct.items():
            for used in uses:
                if used not in self.direct:
                    raise ValueError(f"{TABLE}: {room} may use {used}, which has no row")

    def room_of(self, source):
        """The longest folder with a row, of a source's path without its ending."""
        folder = source.rpartition("/")[0]
        while folder and folder not in self.direct:
            folder = folder.rpartition("/")[0]
        return folder

    def allowed(self, room):
        """What a room may use, and what that may use in turn."""
        found, todo = {room}, [room]
        while todo:
            for used in self.direct[todo.pop()]:
                if used not in found:
                    found.add(used)
                    todo.append(used)
        return found


def symbols(objects):
    """Per object: names that it defines, and names that it needs, with the functions that do."""
    defined, needed = {}, {}
    for path, source in objects.items():
        text = subprocess.run(["nm", "-g", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
        defined[source], needed[source] = set(), set()
        for kind, name in re.findall(r"^[0-9a-f ]{16} (\w) (\S+)$", text, re.MULTILINE):
            (needed if kind in "Uw" else defined)[source].add(name)
    return defined, needed


def arrows_of(objects):
    """{(source, source): names}: the first uses names that the second defines."""
    defined, needed = symbols(objects)
    owner = {name: source for source, names in defined.items() for name in names}
    arrows = {}
    for source, names in needed.items():
        for name in names & owner.keys():
            if owner[name] != source:
                arrows.setdefault((source, owner[name]), set()).add(name)
    return arrows


def users(path, name):
    """Functions of this object that refer to a symbol: for the message."""
    text = subprocess.run(
        ["objdump", "-dr", "--no-show-raw-insn", str(path)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    found, function = [], "data"
    for line in text.splitlines():
        if begin := re.match(r"[0-9a-f]{16} <(.*)>:$", line):
            function = begin[1]
        elif re.search(rf"\bR_X86_64_\w+\s+{re.escape(name)}\b", line) and function not in found:
            found.append(function)
    return found or ["data"]


def circles(arrows):
    """Files that use one another, by Tarjan's algorithm: lists of two and more."""
    graph = {}
    for source, target in arrows:
        graph.setdefault(source, []).append(target)
        graph.setdefault(target, [])
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    sys.setrecursionlimit(10000)
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def objects_of(program):
    """{object: source without its ending} of one program's objects."""
    folder = ROOT / "build" / program
    return {
        path: re.sub(r"\.(c|asm)\.o$", "", str(path.relative_to(folder)))
        for path in sorted(folder.rglob("*.o"))
        if path.relative_to(folder).parts[0] in PROGRAMS[program]
        and (ROOT / path.relative_to(folder).with_suffix("")).exists()
    }


def check(table, objects, say=print):
    """Says each violation; how many there were."""
    arrows = arrows_of(objects)
    path_of = {source: path for path, source in objects.items()}
    bad = 0
    for (source, target), names in sorted(arrows.items()):
        room, other = table.room_of(source), table.room_of(target)
        if other not in table.allowed(room):
            bad += 1
            for name in sorted(names):
                say(f"layers: {source}: {', '.join(users(path_of[source], name))}() uses {name}"
                    f" of {target}: {room}/ may not use {other}/")
    for circle in circles(arrows):
        bad += 1
        say(f"layers: {len(circle)} files use one another: {' '.join(circle)}")
    return bad


def main(arguments):
    table = Table(TABLE.read_text())
    if arguments == ["arrows"]:
        for program in PROGRAMS:
            for (source, target), names in sorted(arrows_of(objects_of(program)).items()):
                print(f"{source} -> {target}: {' '.join(sorted(names))}")
        return 0
    if arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    bad = sum(check(table, objects_of(program)) for program in PROGRAMS)
    files = sum(len(objects_of(program)) for program in PROGRAMS)
    print(f"layers: {files} objects, {bad} violations of docs/design.md")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
