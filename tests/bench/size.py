# SPDX-License-Identifier: BSD-2-Clause
"""The size of the VMM: what its image takes in memory, and lines of code per folder."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("boot", "vmm", "lib", "guest", "tests", "tools")
SOURCES = (".c", ".h", ".asm", ".py", ".sh")
# Blank lines and lines of nothing but comment are no code.
NO_CODE = re.compile(r"\s*($|//|/\*|\*|;|#(?!\s*(include|define|if|el|end|undef|pragma|error)))")


def lines_of_code(path):
    return sum(not NO_CODE.match(line) for line in path.read_text("utf-8").splitlines())


def main():
    segments = subprocess.run(
        ["size", "-A", str(ROOT / "build/vmm.elf")], stdout=subprocess.PIPE, text=True, check=True
    )
    print("VMM image, bytes in memory")
    total = 0
    for name, size in re.findall(r"^(\.\S+)\s+(\d+)\s+[1-9]\d*$", segments.stdout, re.MULTILINE):
        print(f"  {name:<15} {int(size):>10,}")
        total += int(size)
    print(f"  {'total':<15} {total:>10,}\n")
    print("Lines of code (without blank lines and comments)")
    for folder in FOLDERS:
        files = [f for f in (ROOT / folder).rglob("*") if f.suffix in SOURCES]
        print(f"  {folder:<15} {sum(map(lines_of_code, files)):>10,}")


if __name__ == "__main__":
    main()
