# SPDX-License-Identifier: BSD-2-Clause
"""README.md and docs/ are true where a machine can tell: commands and their variables exist, links lead
somewhere, files and functions are there, and the numbers of tests are those of the built-in guest."""
import functools
import os
import re
import shlex
import struct
import subprocess
import sys

import emulator
import pytest
import report
import run
import screenshots

ROOT = emulator.ROOT
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
MAKEFILES = "".join((ROOT / name).read_text() for name in ("Makefile", "tests/fuzz/fuzz.mk"))
TOOLS = "".join(
    path.read_text() for pattern in ("tools/*.py", "tools/*.sh") for path in ROOT.glob(pattern)
)

# Who runs for real what the docs say: a test, or why there is none.
TESTED_BY = {
    "": "test_docs.py::TestMake::test_all_is_up_to_date",
    "run": "test_tools.py::TestExitStatus",
    "run-fredcheck": "test_fred_bare.py",
    "test": "test_results.py::TestMerge",
    "unit": "test_results.py::TestUnit",
    "fuzz": "test_results.py::TestUnit",
    "fuzz-long": "none: a search without an end; nothing builds on it",
    "system": "test_docs.py",
    "image": "test_image.py::TestBoot",
    "usb": "test_image.py::TestUsb",
    "run-kvm": "none: the emulators have no KVM; it says so itself",
    "bench": "test_soft_fred.py::TestSoftFredCost",
    "report": "test_report.py::TestOfABoot",
    "timeline": "test_report.py::TestOfABoot",
    "screenshots": "test_screen.py::TestResultScreen",
    "check": "none: what it runs is not part of the tests' set-up",
    "layers": "test_layers.py::TestLayers::test_vmm_is_as_the_docs_say",
    "clean": "none: the tests need build/",
    "help": "test_docs.py::TestMake::test_help",
}
PROGRAMS = re.compile(r"(?:[A-Z_]+=\S+ )*(?:make(?: |$)|tools/\S+ |build/(?:unit|fuzz)/\S+|/usr/bin/python3 )")
# Placeholders that the docs use for a name of the reader's.
PLACEHOLDER = re.compile(r"NAME|example|\.\.\.|/path/to/|/dev/sd|\bLOG\b")


def text_of(page):
    return page.read_text("utf-8")


def blocks(text):
    """The lines of indented blocks, without the indentation and what lists have."""
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


def commands_of(page):
    """Every command: a line of a block, or a span in backquotes, that starts with a program."""
    text = text_of(page)
    spans = re.findall(r"`([^`\n]+)`", text)
    for line in blocks(text) + spans:
        for command in re.split(r" && ", re.sub(r"\s+# .*", "", line)):
            if PROGRAMS.match(command):
                yield command.replace(" ...", "")


COMMANDS = sorted({(page.name, command) for page in PAGES for command in commands_of(page)})


def make_commands():
    """(page, targets, variables) of each command of make."""
    for page, command in COMMANDS:
        words = shlex.split(command)
        if "make" in words:
            rest = words[words.index("make") + 1:]
            given = dict(word.split("=", 1) for word in words if "=" in word)
            yield page, [word for word in rest if "=" not in word], given


@functools.cache
def suite():
    """{chapter: [names of its tests]}, and the chapters that run on the bare machine: read from the
    tables in the built-in guest's file."""
    path = emulator.BUILD / "selftest.elf"
    data = path.read_bytes()
    (table,), (count,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    segments = [struct.unpack_from("<IIQQQQ", data, table + 56 * i) for i in range(count)]

    def at(address, layout):
        for kind, _, offset, start, _, size in segments:
            if kind == 1 and start <= address < start + size:
                return struct.unpack_from(layout, data, offset + address - start)
        raise ValueError(hex(address))

    def string(address):
        return at(address, "120s")[0].split(b"\0")[0].decode()

    symbols = subprocess.run(["nm", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    chapters, bare = {}, set()
    for address in re.findall(r"^(\w+) \w chapter_\w+$", symbols, re.MULTILINE):
        name, tests, length, needs = at(int(address, 16), "<QQQI")
        chapters[string(name)] = [string(at(tests + 24 * i, "<Q")[0]) for i in range(length)]
        if not needs & 1:
            bare.add(string(name))
    return chapters, bare


class TestCommands:
    def test_there_are_some(self):
        assert len(COMMANDS) > 40

    @pytest.mark.parametrize("page,command", [one for one in COMMANDS if "make" in shlex.split(one[1])])
    def test_make(self, page, command):
        words = shlex.split(command)
        targets = [word for word in words[words.index("make") + 1:] if "=" not in word]
        for target in targets or [""]:
            if target.startswith("build/"):
                if not PLACEHOLDER.search(target):
                    done = subprocess.run(["make", "-n", target], cwd=ROOT, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
                    assert done.returncode == 0, done.stderr
            else:
                assert not target or re.search(rf"^{target}:", MAKEFILES, re.MULTILINE), target
                assert target in TESTED_BY, f"{page}: who runs make {target}?"

    @pytest.mark.parametrize("page,targets,given", make_commands())
    def test_variables(self, page, targets, given):
        for name, value in given.items():
            assert re.search(rf"\$[({{]{name}\b", MAKEFILES + TOOLS) or re.search(
                rf'"{name}"|\b{name}=', TOOLS), f"{page}: who reads {name}?"
            if PLACEHOLDER.search(value):
                continue
            if name == "GUEST":
                assert value in run.GUESTS
            if name in ("DEBUG", "FRED", "LOG"):
                assert f'"{value}"' in (ROOT / "lib/config.c").read_text()
            if name == "ERRATA":
                known = text_of(ROOT / "docs/errata.md")
                assert all(f"| {one} |" in known for one in value.split(","))

    @pytest.mark.parametrize(
        "pattern", sorted({given["TESTS"] for _, _, given in make_commands() if "TESTS" in given})
    )
    def test_patterns_of_tests(self, pattern):
        wanted = re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))
        assert any(wanted.fullmatch(f"{chapter}.{name}")
                   for chapter, names in suite()[0].items() for name in names)

    @pytest.mark.parametrize("page,command", [one for one in COMMANDS if "tools/" in one[1]])
    def test_tools(self, page, command):
        words = shlex.split(command)
        tool = next(word for word in words if word.startswith("tools/"))
        source = ROOT / tool
        assert source.is_file() and source.stat().st_mode & 0o100, f"{page}: {tool}"
        for option in re.findall(r"(?<= )--[a-z]+", command):
            done = subprocess.run([str(source), "--help"], stdout=subprocess.PIPE, text=True, timeout=60,
                                  check=True)
            assert option in done.stdout
        if tool == "tools/setup.sh":
            assert all(f"\n{word})" in source.read_text() for word in words[1:])

    @pytest.mark.parametrize("page,command", [one for one in COMMANDS if " -m pytest" in one[1]])
    def test_pytest(self, page, command):
        words = [sys.executable, *shlex.split(command)[1:], "--collect-only", "-q"]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{page}: {done.stdout}"

    @pytest.mark.parametrize("target", sorted(TESTED_BY))
    def test_who_tests_it(self, target):
        where = TESTED_BY[target]
        if where.startswith("none: "):
            return
        file, *names = where.split("::")
        source = (ROOT / "tests/system" / file).read_text()
        for name in names:
            assert re.search(rf"^ *(?:class|def) {name}\b", source, re.MULTILINE), where


class TestMake:
    """What is cheap is run."""

    @staticmethod
    def make(*words):
        return subprocess.run(["make", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=120, check=False)

    def test_help(self):
        done = self.make("-s", "help")
        assert done.returncode == 0
        told = set(re.findall(r"^make (\S+)", done.stdout, re.MULTILINE))
        documented = set(re.findall(r"^\| `make ([a-z-]+)", text_of(ROOT / "README.md"), re.MULTILINE))
        assert told - documented - {"build"} == set(), "README.md has a table of the targets"

    def test_variables_of_run(self):
        told = set(re.findall(r"\b([A-Z_]+)=", run.__doc__))
        rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", text_of(ROOT / "README.md"), re.MULTILINE)
        assert told == set(re.findall(r"[A-Z_]+", " ".join(rows))), "README.md has a table of them"

    def test_all_is_up_to_date(self):
        assert self.make("-n", "all").returncode == 0
        assert (emulator.BUILD / "manfred.efi").is_file()


def slug(heading):
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def prose(page):
    """The text without the indented blocks."""
    return "\n".join(line for line in text_of(page).splitlines() if not line.startswith("    "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
class TestReferences:
    def test_readme_leads_to_it(self, page):
        assert page.parent == ROOT or f"(docs/{page.name})" in text_of(ROOT / "README.md")

    def test_links(self, page):
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            assert path.exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
                assert anchor in map(slug, headings), f"{page.name}: {target}"

    def test_files(self, page):
        folders = "boot|vmm|guest|lib|tests|tools|docs"
        for span in re.findall(r"`([^`\n]+)`", prose(page)):
            for name in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w", span):
                if not PLACEHOLDER.search(span) and "*" not in span:
                    assert (ROOT / name).exists(), f"{page.name}: {name}"

    def test_functions(self, page):
        sources = "".join(
            path.read_text() for folder in ("boot", "vmm", "guest", "lib", "tests", "tools")
            for ending in ("*.[ch]", "*.asm", "*.py") for path in (ROOT / folder).rglob(ending)
        )
        for name in re.findall(r"`(\w+)\(\)`", prose(page)):
            assert re.search(rf"\b{name}\(", sources) or f"{name}:" in sources, f"{page.name}: {name}()"


def test_pictures():
    """Each has a script that makes it, and a page that shows it."""
    made = {f"{name}.png" for name in screenshots.PICTURES} | {
        f"timeline-{way}.svg" for way in report.WAYS if way != "bare"
    }
    assert made == {path.name for path in (ROOT / "docs/img").iterdir()}
    shown = "".join(map(text_of, PAGES))
    assert all(f"img/{name})" in shown for name in made)


@functools.cache
def messages():
    """What the sources can print, as patterns: their literals, with anything for what is filled in."""
    sources = "".join(
        path.read_text() for folder in ("boot", "vmm", "lib", "guest", "tests/linux", "tools")
        for ending in ("*.[ch]", "*.py", "*.sh", "init") for path in sorted((ROOT / folder).rglob(ending))
    )
    sources = re.sub(r'"\s*"', "", sources)
    found = [re.compile(r"loader: \w+ = .*")]  # of a key
    for literal in set(re.findall(r'"((?:[^"\\\n]|\\.)*)"', sources)):
        text = literal.replace("\\n", "").replace('\\"', '"').replace("\\\\", "\\")
        parts = re.split(r"%[-+#0-9.*]*(?:ll|l|z|h)*[a-zA-Z]|\{[^}]*\}|\$\([^)]*\)", text)
        own = re.sub(r"^(?:manfred|fredcheck|linux): ", "", "".join(parts))
        if len(re.findall("[a-z]", own)) >= 4:
            found.append(re.compile(r"(?:loader: )?" + ".*?".join(map(re.escape, parts))))
    return found


def is_printed(line):
    """`line` without the time; a program's name may be in the literal, or put before it."""
    lines = (line, line.partition(": ")[2])
    return any(pattern.fullmatch(text) for pattern in messages() for text in lines)


LOG_LINE = re.compile(r"(?:\[ *\d+\] )?((?:manfred|fredcheck|linux): .*)")
LOG_LINES = [
    (page.name, found[1].strip()) for page in PAGES for line in blocks(text_of(page))
    if (found := LOG_LINE.match(line))
]


class TestLogLines:
    """Lines of logs that the docs show."""

    @pytest.mark.parametrize("page,line", LOG_LINES)
    def test_the_sources_have_it(self, page, line):
        assert is_printed(line), f"{page}: {line}"

    def test_not_anything_is_printed(self):
        assert not is_printed("manfred: VMM on 0x1ac00000, 16 MiB")
        assert not is_printed("linux: hello world")


EXAMPLES = dict(
    (name, "".join(line[4:] or "\n" for line in block.splitlines(True)))
    for name, block in re.findall(r"`((?:tests|guest)/\S+)`:\n\n((?:(?:    .*)?\n)+)",
                                  text_of(ROOT / "docs/adding-tests.md"))
)
HOST = ["gcc", "-std=gnu11", "-I.", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow"]


class TestExamples:
    """Of docs/adding-tests.md."""

    @pytest.fixture
    def sources(self, tmp_path):
        for name, text in EXAMPLES.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    @staticmethod
    def call(*words):
        done = subprocess.run(list(map(str, words)), cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=120, check=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def test_one_of_each_kind(self):
        assert sorted(map(os.path.dirname, EXAMPLES)) == [
            "guest/tests/fred", "tests/fuzz", "tests/linux", "tests/system", "tests/unit/lib"
        ]

    def test_unit(self, sources):
        program = sources / "test_example"
        self.call(*HOST, sources / "tests/unit/lib/test_example.c", "lib/fred.c", "-lcmocka", "-o", program)
        assert "1 test(s)" in self.call(program)

    def test_fuzzer(self, sources):
        program = sources / "fuzz_example"
        self.call(*HOST, sources / "tests/fuzz/fuzz_example.c", "tests/fuzz/driver.c", "lib/fred.c", "-o",
                  program)
        self.call(program, "-n", 1000)

    def test_guest(self, sources):
        self.call(*HOST, "-ffreestanding", "-mno-red-zone", "-mgeneral-regs-only", "-fsyntax-only",
                  sources / "guest/tests/fred/example.c")

    def test_linux(self, sources):
        self.call(*HOST, "-fsyntax-only", sources / "tests/linux/example.c")

    def test_system(self, sources):
        path = sources / "tests/system/test_example.py"
        (sources / "tests/system/conftest.py").write_text("")
        out = self.call(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", path)
        assert "2 tests collected" in out


def test_keys_of_manfred_cfg():
    """docs/config.md has a row for each key of lib/config.c, for the machine and for a guest."""
    source = (ROOT / "lib/config.c").read_text()
    page = text_of(ROOT / "docs/config.md")
    for table, title in (("global_keys", "## Keys of the machine"), ("guest_keys", "## Keys of a guest")):
        lines = source.partition(f"{table}[] = {{")[2].partition("};")[0]
        keys = re.findall(r'FIELD\((?:\w+, )?(\w+)\)|\{ "(\w+)"', lines)
        rows = page.partition(title)[2].partition("\n## ")[0]
        assert {a or b for a, b in keys} == set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE))


CONFIG_LINE = re.compile(r"    (?:\[guest [^]]*\]|\w+ = .*)")
CONFIGS = [
    (page.name, "\n".join(line.strip() for line in block.splitlines()))
    for page in PAGES for block in re.findall(r"(?:^    .*\n|(?<=\n)\n(?=    ))+", text_of(page), re.MULTILINE)
    if all(not line or CONFIG_LINE.match(line) for line in block.splitlines()) and block.strip()
]


class TestConfigs:
    """The examples of a manfred.cfg."""

    @staticmethod
    def judged(text):
        return subprocess.run([str(run.CHECK_CONFIG)], input=text, stdout=subprocess.PIPE, text=True,
                              timeout=60, check=False).stdout

    def test_there_are_some(self):
        assert len(CONFIGS) >= 3

    @pytest.mark.parametrize("page,text", CONFIGS)
    def test_is_taken(self, page, text):
        assert self.judged(text) == "", f"{page}: {text}"

    def test_not_anything_is_taken(self):
        assert "allowed are" in self.judged("guest = windows\n")


class TestNumbers:
    """Of tests, in README.md and docs/testing.md."""

    def test_totals(self):
        chapters, bare = suite()
        total = sum(map(len, chapters.values()))
        on_bare = sum(len(names) for name, names in chapters.items() if name in bare)
        found = re.search(r"suite of ([\d,]+) tests,\s+([\d,]+) of", text_of(ROOT / "README.md"))
        assert found and found.groups() == (f"{total:,}", f"{on_bare:,}")

    def test_results_by_software(self):
        """Of the whole suite: what passes, is skipped and fails as expected is all of it."""
        total = sum(map(len, suite()[0].values()))
        passed, skipped = re.search(r"by software: ([\d,]+) tests pass, (\d+) are skipped .* one fails",
                                    text_of(ROOT / "README.md")).groups()
        assert int(passed.replace(",", "")) + int(skipped) + 1 == total

    def test_table_of_chapters(self):
        rows = re.findall(r"^\| (.+?) \| ([\d,]+) \|(.*)\|$", text_of(ROOT / "docs/testing.md"),
                          re.MULTILINE)
        chapters, _ = suite()
        told, sums = {}, []
        for _, total, cell in rows:
            prefix, counts = "", []
            for name, count in re.findall(r"([\w-]+) (\d+)(?:,| $)", cell):
                if name.startswith("-"):
                    name = prefix + name
                else:
                    prefix = name.partition("-")[0]
                told[name] = int(count)
                counts.append(int(count))
            sums.append((int(total.replace(",", "")), sum(counts)))
        assert told == {name: len(names) for name, names in chapters.items()}
        assert all(total == counted for total, counted in sums[:-1])
        assert sums[-1][0] == sum(told.values())

    def test_errata_of_the_emulator(self):
        assert f"`{emulator.FRED_ERRATA}`" in text_of(ROOT / "README.md")
        assert f"`{emulator.SOFT_FRED_ERRATA}` by software" in text_of(ROOT / "README.md")
