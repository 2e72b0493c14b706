# SPDX-License-Identifier: BSD-2-Clause
"""tools/layers.py: what it accuses, over small objects; that vmm/ is clean is `make layers`."""
import subprocess

import pytest

import layers

TABLE = """# Text

## Rooms

| room | owns | may use |
|---|---|---|
| `lib/` | strings | |
| `a/low/` | the floor | `lib/` |
| `a/` | the roof | `a/low/` |

## Other
"""


@pytest.fixture
def check(tmp_path):
    """Compiles {source: C text} and says what is accused."""

    def run(sources):
        objects = {}
        for source, text in sources.items():
            path = tmp_path / (source.replace("/", "_") + ".o")
            subprocess.run(["gcc", "-x", "c", "-O0", "-c", "-", "-o", path], input=text, text=True, check=True)
            objects[path] = source
        said = []
        bad = layers.check(layers.Table(TABLE), objects, said.append)
        assert bad == len(said) or bad > 0
        return said

    return run


LOW = "int low(void) { return 1; }"


class TestLayers:
    def test_a_lower_room_may_be_used(self, check):
        assert check({"a/top": "int low(void); int top(void) { return low(); }", "a/low/x": LOW}) == []

    def test_through_another_room(self, check):
        assert check({"a/top": "int s(void); int top(void) { return s(); }",
                      "lib/s": "int s(void) { return 2; }"}) == []

    def test_an_upper_room_may_not(self, check):
        said = check({"a/low/x": "int top(void); int low(void) { return top(); }",
                      "a/top": "int top(void) { return 3; }"})
        assert said == ["layers: a/low/x: low() uses top of a/top: a/low/ may not use a/"]

    def test_variables_count(self, check):
        said = check({"lib/s": "extern int v; int s(void) { return v; }", "a/low/x": "int v = 1;"})
        assert said == ["layers: lib/s: s() uses v of a/low/x: lib/ may not use a/low/"]

    def test_a_pointer_in_data_counts(self, check):
        said = check({"lib/s": "int low(void); int (*s)(void) = low;", "a/low/x": LOW})
        assert said == ["layers: lib/s: data() uses low of a/low/x: lib/ may not use a/low/"]

    def test_circles_within_a_room(self, check):
        said = check({"a/low/x": "int y(void); int x(void) { return y(); }",
                      "a/low/y": "int x(void); int y(void) { return x(); }"})
        assert said == ["layers: 2 files use one another: a/low/x a/low/y"]

    def test_a_room_without_a_row(self):
        with pytest.raises(ValueError):
            layers.Table(TABLE.replace("`a/low/` |\n\n", "`b/` |\n\n"))

    def test_the_docs_name_every_folder(self):
        table = layers.Table(layers.TABLE.read_text())
        folders = {str(path.parent.relative_to(layers.ROOT)) for path in (layers.ROOT / "vmm").rglob("*.c")}
        assert folders <= set(table.direct)

    def test_vmm_is_as_the_docs_say(self):
        subprocess.run(["make", "layers"], cwd=layers.ROOT, check=True, timeout=300)
