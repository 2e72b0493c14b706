# SPDX-License-Identifier: BSD-2-Clause
"""What labs and build servers are given (tools/lab, .github), as far as a machine without a board can
try it: against a recorded serial line, by the schemas and the programs of those who read the files
where they are installed (tools/setup.sh lab)."""
import collections
import re
import socket
import subprocess
import sys
import threading
import time

import emulator
import guest_log
import pexpect
import pytest
import yaml

LAB = emulator.ROOT / "tools/lab"
# As it comes from a serial line, with lines of the VMM between those of the suite.
RECORDED = """\
\x1b[2JBdsDxe: starting Boot0001 "UEFI"
[   100] manfred: entering guest selftest
TAP version 13
ok 1 - cpuid.leaf_0
not ok 2 - step.watchpoint
#   events caught: expected 0x1, got 0x0
[   200] manfred: a line in between
ok 3 - fred-cet.ring0 # SKIP no CET here
not ok 4 - fred-lkgs.fault # TODO errata FR-11
ok 5 - fred-lkgs.other # TODO errata FR-11
1..5
# tests 5, failed 1, skipped 1, expected failures 1
# chapter            passed failed skipped expected unexpected
[   300] manfred: exits: CPUID                    7
[   400] manfred: end status=ok reason=guest-end exits=7
""".replace("\n", "\r\n")


def monitored(monitors, log):
    """What LAVA's monitors make of a log: (monitor, test): result. As its dispatcher does it: for each
    monitor, wait for the start; then the end or a result, whatever comes first."""
    # In pieces: a line may not be there as a whole when the patterns are tried.
    line = pexpect.spawn("/bin/sh", ["-c", f"stty raw; dd bs=7 status=none if={log}; exec cat"])
    results = {}
    try:
        for monitor in monitors:
            line.expect(monitor["start"], timeout=10)
            while line.expect([monitor["end"], monitor["pattern"]], timeout=10) == 1:
                found = {name: text.decode() for name, text in line.match.groupdict().items()}
                results[monitor["name"], found["test_case_id"]] = monitor["fixupdict"][found["result"]]
    finally:
        line.close(force=True)
    return results


class TestLava:
    @pytest.fixture(scope="class")
    def job(self):
        return yaml.safe_load((LAB / "lava.yaml").read_text("utf-8"))

    @pytest.fixture(scope="class")
    def monitors(self, job):
        return next(action["test"] for action in job["actions"] if "test" in action)["monitors"]

    def test_recorded_line(self, monitors, tmp_path):
        (tmp_path / "serial.log").write_bytes(RECORDED.encode())
        assert monitored(monitors, tmp_path / "serial.log") == {
            ("suite", "cpuid.leaf_0"): "pass",
            ("suite", "step.watchpoint"): "fail",
            ("suite", "fred-cet.ring0"): "skip",
            ("suite", "fred-lkgs.fault"): "skip",
            ("suite", "fred-lkgs.other"): "pass",
            ("end", "manfred"): "pass",
        }

    def test_real_boot(self, monitors, manfred):
        log = manfred({"guest": "selftest", "tests": "m*"})
        results = monitored(monitors, log.folder / "serial.log")
        assert results.pop(("end", "manfred")) == "pass"
        counts = guest_log.Log(log.result.log).counts()
        assert collections.Counter(results.values()) == collections.Counter(
            {"pass": counts["passed"], "skip": counts["skipped"] + counts["expected"]}
        )

    def test_schema(self, job):
        schemas = pytest.importorskip(
            "lava_common.schemas", reason="LAVA's schemas are not installed (tools/setup.sh lab)"
        )
        schemas.validate(job)


class TestLabgrid:
    ENVIRONMENT = """\
targets:
  main:
    resources:
      NetworkSerialPort: {{host: 127.0.0.1, port: {port}, protocol: raw}}
    drivers:
      ExternalPowerDriver: {{cmd_on: touch {on}, cmd_off: rm -f {on}, delay: 0.0}}
      SerialDriver: {{}}
      ManfredStrategy: {{timeout: {timeout}}}
imports:
  - {lab}/strategy.py
"""

    @pytest.fixture(scope="class", autouse=True)
    def labgrid(self):
        pytest.importorskip("labgrid", reason="labgrid is not installed (tools/setup.sh lab)")

    def run(self, folder, text, timeout=60):
        """The lab's tests on a board that says `text`; what pytest said."""
        with socket.create_server(("127.0.0.1", 0)) as board:
            threading.Thread(target=self.say, args=(board, folder / "on", text.encode()), daemon=True).start()
            (folder / "lab.yaml").write_text(
                self.ENVIRONMENT.format(
                    port=board.getsockname()[1], on=folder / "on", lab=LAB, timeout=timeout
                )
            )
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q",
                 "--lg-env", str(folder / "lab.yaml"), str(LAB)],
                cwd=folder, capture_output=True, text=True, timeout=120, check=False,
            )
        return done.stdout + done.stderr

    @staticmethod
    def say(board, power, text):
        """A serial line in the network, of a board that speaks once `power` is there."""
        line, _ = board.accept()
        with line:
            while not power.exists():
                time.sleep(0.05)
            line.sendall(text)
            while line.recv(64):
                pass

    def test_all_pass(self, tmp_path):
        text = RECORDED.replace("not ok 2", "ok 2").replace("failed 1", "failed 0")
        assert "2 passed" in self.run(tmp_path, text)

    def test_one_fails(self, tmp_path):
        said = self.run(tmp_path, RECORDED)
        assert "1 failed, 1 passed" in said
        assert "step.watchpoint" in said

    def test_lost_lines(self, tmp_path):
        said = self.run(tmp_path, re.sub(r"ok 1 - .*\r\n", "", RECORDED))
        assert "has lost some" in said

    def test_no_end_line(self, tmp_path):
        said = self.run(tmp_path, RECORDED.partition("[   400]")[0], timeout=3)
        assert "2 errors" in said
        assert "TIMEOUT" in said

    def test_environment(self):
        """The file for a lab names drivers that there are, and our strategy."""
        from labgrid import Environment, target_factory

        environment = Environment(str(LAB / "labgrid.yaml"))
        for target in environment.config.get_targets().values():
            drivers = dict(target["drivers"])
            assert "ManfredStrategy" in drivers
            assert set(drivers) <= set(target_factory.drivers)


class TestWorkflow:
    @pytest.fixture(scope="class")
    def workflow(self):
        return yaml.safe_load((emulator.ROOT / ".github/workflows/test.yml").read_text("utf-8"))

    @pytest.fixture(scope="class")
    def steps(self, workflow):
        return workflow["jobs"]["test"]["steps"]

    def test_writes_releases_only(self, workflow):
        assert workflow["permissions"] == {"contents": "read"}
        writers = [job for job in workflow["jobs"].values() if "permissions" in job]
        assert writers == [workflow["jobs"]["release"]]
        assert writers[0]["if"] == "startsWith(github.ref, 'refs/tags/v')"
        assert writers[0]["needs"] == "test"

    def test_runs_what_the_build_server_runs(self, steps):
        assert ".ci/run" in [step.get("run") for step in steps]

    def test_actions_are_pinned(self, workflow):
        steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
        used = [step["uses"] for step in steps if "uses" in step]
        assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)

    def test_keeps_the_results(self, steps):
        kept = next(step for step in steps if step.get("name") == "Results")
        assert kept["if"] == "always()"
        assert "build/results/" in kept["with"]["path"]

    @pytest.mark.parametrize("job", ("test", "release"))
    def test_makes_the_image_and_its_checksum(self, workflow, job, tmp_path):
        """The commands of the step, where `make image` has just been."""
        step = next(s for s in workflow["jobs"][job]["steps"] if s.get("name") == "Image for a stick")
        commands = step["run"].splitlines()
        assert commands[0] == "make image"
        (tmp_path / "build").mkdir()
        (tmp_path / "build/manfred.img").write_bytes(b"image")
        subprocess.run(["sh", "-ec", "\n".join(commands[1:])], cwd=tmp_path, check=True)
        subprocess.run(["sha256sum", "-c", "manfred.img.sha256"], cwd=tmp_path / "build", check=True)
