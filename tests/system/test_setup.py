# SPDX-License-Identifier: BSD-2-Clause
"""The set-up of the host, as an ordinary user finds it: packages, sudo, network, mirror."""
import os
import shutil
import subprocess

import emulator
import mkimage
import pytest

USER_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"  # Debian's, of a user
PROGRAMS = ("sh", "cat", "sed", "cut", "sort", "paste", "grep", "env", "head", "cmp", "rm", "mkdir", "dirname", "touch")
MISSING = ("gcc", "mmdebstrap", "libcmocka-dev")


@pytest.fixture
def host(tmp_path):
    """A PATH with only these programs and stubs; host.stub(name, text) makes one more. The user is no
    root, and lacks the packages of MISSING."""

    class Host:
        folder = tmp_path / "bin"
        calls = tmp_path / "calls"

        def stub(self, name, text):
            path = self.folder / name
            path.unlink(missing_ok=True)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

        def run(self, tool, *arguments, **environment):
            done = subprocess.run(
                [str(emulator.ROOT / "tools" / tool), *arguments],
                env={"PATH": str(self.folder), **environment}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
            return done.returncode, done.stdout

        def called(self):
            return self.calls.read_text().splitlines() if self.calls.exists() else []

    made = Host()
    made.folder.mkdir()
    for name in PROGRAMS:
        (made.folder / name).symlink_to(shutil.which(name))
    made.stub("id", "echo 1000")
    absent = "|".join(MISSING)
    made.stub("dpkg-query", f'case "$4" in {absent}) exit 1 ;; esac; echo installed')
    made.stub("apt-get", f'echo "apt-get $*, proxy=${{http_proxy:-}}" >>{made.calls}')
    return made


class TestPackages:
    def test_silent_when_all_is_there(self, host):
        host.stub("dpkg-query", "echo installed")
        assert host.run("setup.sh", "run") == (0, "")

    def test_by_sudo(self, host):
        host.stub("sudo", f'[ "$1" = -v ] || {{ echo sudo >>{host.calls}; unset http_proxy; exec "$@"; }}')
        status, said = host.run("setup.sh", "run", http_proxy="http://proxy:3128")
        assert status == 0 and said.endswith("setup: done\n")
        assert "gcc                  compiles everything" in said
        lines = host.called()
        assert lines[0::2] == ["sudo", "sudo"]
        assert lines[1] == "apt-get update -qq, proxy=http://proxy:3128"
        assert lines[3].endswith("gcc mmdebstrap, proxy=http://proxy:3128")

    def test_without_sudo(self, host):
        """All packages at once, not first those of the build, then those of the run."""
        assert host.run("setup.sh", "build") == (
            1, "setup: neither root nor sudo; have root run: "
               "apt-get install --no-install-recommends gcc libcmocka-dev mmdebstrap\n")
        assert host.called() == []

    def test_sudo_refuses(self, host):
        host.stub("sudo", 'echo "sudo: user is not in the sudoers file" >&2; exit 1')
        status, said = host.run("setup.sh", "build")
        assert status == 1 and host.called() == []
        assert said.endswith("setup: sudo does not let this user; have root run: "
                             "apt-get install --no-install-recommends gcc libcmocka-dev mmdebstrap\n")

    def test_without_network(self, host):
        host.stub("id", "echo 0")
        host.stub("apt-get", 'echo "E: Unable to fetch some archives" >&2; exit 100')
        status, said = host.run("setup.sh", "build")
        assert status == 1
        assert "E: Unable to fetch some archives" in said
        assert "setup: apt-get has failed (above is why: no network" in said.splitlines()[-1]
        assert "gcc libcmocka-dev mmdebstrap" in said.splitlines()[-1]


class TestPlatform:
    """tools/platform.sh in a copy of its folder: which mirror it takes."""

    @pytest.fixture
    def platform(self, host, tmp_path):
        tools = tmp_path / "tools"
        tools.mkdir()
        text = (emulator.ROOT / "tools/platform.sh").read_text()
        # The helper of apt is in no PATH.
        assert text.count("/usr/lib/apt/apt-helper") == 1
        (tools / "platform.sh").write_text(text.replace("/usr/lib/apt/apt-helper", "apt-helper"))
        (tools / "platform.sh").chmod(0o755)
        shutil.copy(emulator.ROOT / "tools/versions", tools)
        host.stub("apt-get", 'case "$*" in *"Origin: Debian"*) echo http://mirror/debian/ ;; esac')
        host.stub("mmdebstrap", f'echo "$*" >>{host.calls}; exit 7')

        def run(reachable, **environment):
            host.stub("apt-helper", f'case "$2" in {reachable}/dists/trixie/InRelease) ;; *) exit 100 ;; esac')
            done = subprocess.run([str(tools / "platform.sh")], env={"PATH": str(host.folder), **environment},
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                                  check=False)
            return done.returncode, done.stdout, host.called()

        return run

    @pytest.mark.parametrize("reachable,variables", (
        ("http://mirror/debian", {}),  # the host's own
        ("http://named/debian", {"MIRROR": "http://named/debian/"}),
    ))
    def test_mirror(self, platform, reachable, variables):
        status, _, calls = platform(reachable, **variables)
        assert status == 7
        assert len(calls) == 1 and calls[0].endswith(f" {reachable}")

    def test_debians_own_mirror_is_left_to_mmdebstrap(self, platform):
        status, _, calls = platform("nowhere")
        assert status == 7
        assert len(calls) == 1 and calls[0].endswith("/root")

    @pytest.mark.parametrize("variables,where,status", (
        ({}, "its usual mirror", 7),
        ({"MIRROR": "http://named/debian/"}, "http://named/debian/", 1),
    ))
    def test_without_network(self, platform, variables, where, status):
        got, said, _ = platform("nowhere", **variables)
        assert got == status
        assert said.splitlines()[-1] == (
            f"platform: no Debian trixie at {where}: "
            "is there a network? MIRROR=http://... names another mirror of Debian")


class TestUserPath:
    """/usr/sbin, where sgdisk is, is in no ordinary user's PATH."""

    def test_image(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", USER_PATH)
        mkimage.make_image(tmp_path / "image", {"a": b"b"})
        assert (tmp_path / "image").read_bytes()[512:520] == b"EFI PART"

    def test_make(self):
        done = subprocess.run(
            ["make", "-s", "--eval", "path-of-sgdisk: ; @command -v sgdisk", "path-of-sgdisk"],
            cwd=emulator.ROOT, env=dict(os.environ, PATH=USER_PATH), stdout=subprocess.PIPE, text=True,
            check=True)
        assert done.stdout.endswith("/sgdisk\n")

    def test_says_what_is_missing(self):
        with pytest.raises(SystemExit, match="there is no no-such-mformat: tools/setup.sh build installs it"):
            mkimage._run("no-such-mformat")
