"""What the doctor says of each situation; real ones where this machine has them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evo.doctor import Check, Finding, Place, examine
from evo.doctor.cgroups import Limits, limits
from evo.doctor.cores import of_cores, of_files, of_processes, of_threads
from evo.doctor.directory import kind_of, locks, room, room_in
from evo.doctor.interpreter import needs_of, satisfies
from evo.doctor.memory import Memory, of_memory, of_monitor, shared
from evo.doctor.mounts import is_network, mount_of, mounts
from evo.doctor.node import of_node
from evo.doctor.ray_here import of_token
from evo.doctor.toolchain import compilers, gpus

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:25 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 0:26 / /home/me/my\\040disk rw,relatime - xfs /dev/sdb rw
32 27 0:27 / /mnt/cloud rw - fuse.sshfs me@there:/ rw
33 27 0:28 / /mnt/usb rw - fuseblk /dev/sdc rw
34 27 0:29 / /scratch rw - lustre mds@tcp:/fs rw
35 27 0:30 / /scratch rw - tmpfs tmpfs rw
36 27 0:31 / /guest rw - virtiofs share rw
"""


# Checks ----------------------------------------------------------------------------------------------------------


def test_a_check_that_raises_is_a_line_and_the_next_is_run(tmp_path: Path) -> None:
    def broken(place: Place) -> Iterator[Finding]:
        yield Finding("ok", "first", "well")
        raise KeyError("MemTotal")

    checks = [Check("broken", broken), Check("other", lambda place: [Finding("ok", "other", "well")])]
    found = list(examine(checks, Place(tmp_path)))
    assert [(one.level, one.what) for one in found] == [("ok", "first"), ("warn", "broken"), ("ok", "other")]
    assert "KeyError: 'MemTotal'" in found[1].text


def test_a_check_that_hangs_costs_its_deadline(tmp_path: Path) -> None:
    def hanging(place: Place) -> Iterator[Finding]:
        yield Finding("ok", "first", "well")
        time.sleep(30)

    began = time.monotonic()
    found = list(examine([Check("hanging", hanging, 0.3)], Place(tmp_path)))
    assert time.monotonic() - began < 5
    assert [(one.level, one.text) for one in found] == [("ok", "well"), ("no", "no answer within 0.3 s")]


def test_whatever_is_not_well_has_a_remedy(tmp_path: Path) -> None:
    everything = [
        *(kind_of(Path(path), MOUNTS) for path in ("/home", "/mnt/cloud", "/scratch", "/guest")),
        room_in(tmp_path, 0, None),
        room_in(tmp_path, 10**8, None),
        room_in(tmp_path, 10**12, 0),
        of_memory(Memory("MemTotal: 4000000 kB\nMemAvailable: 1000 kB\n", Limits())),
        of_monitor(Memory("MemTotal: 4000000 kB\nMemAvailable: 1000 kB\n", Limits()), {}),
        shared(64 << 20, 64 << 20, True),
        shared(1 << 30, 1 << 30, False),
        of_cores(64, 64, Limits(cpus=2.0)),
        of_files(1024, 4096),
        of_processes(100, None),
        of_threads({"OMP_NUM_THREADS": "64"}, 2),
        of_token({"RAY_AUTH_MODE": "disabled"}, tmp_path, clustered=True),
    ]
    assert all(one.level != "ok" and one.remedy and one.text for one in everything)


# Run directory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "kind", "level"),
    [
        ("/work/runs", "ext4", "ok"),
        ("/home/me/runs", "nfs4", "no"),
        ("/home/me/my disk/runs", "xfs", "ok"),
        ("/mnt/cloud/runs", "fuse.sshfs", "no"),
        ("/mnt/usb/runs", "fuseblk", "ok"),
        ("/scratch/runs", "tmpfs", "warn"),  # it was mounted over the other
        ("/guest", "virtiofs", "no"),
    ],
)
def test_the_file_system_of_a_folder_is_the_one_mounted_nearest_above(folder: str, kind: str, level: str) -> None:
    mount = mount_of(Path(folder), mounts(MOUNTS))
    assert mount is not None
    assert mount.kind == kind
    assert kind_of(Path(folder), MOUNTS).level == level


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone", "lustre", "beegfs", "gpfs", "9p", "virtiofs", "ceph"],
)
def test_file_systems_of_a_network_are_known(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuse", "fuse.ntfs-3g", "fuseblk"])
def test_file_systems_of_this_machine_are_known(kind: str) -> None:
    assert not is_network(kind)


def test_this_machines_own_mounts_are_read(tmp_path: Path) -> None:
    table = mounts(Path("/proc/self/mountinfo").read_text())
    proc = mount_of(Path("/proc/self"), table)
    assert proc is not None
    assert proc.kind == "proc"
    assert mount_of(tmp_path.resolve(), table) is not None


def test_a_folder_in_memory_is_told(tmp_path: Path) -> None:
    table = mounts(Path("/proc/self/mountinfo").read_text())
    mount = mount_of(Path("/dev/shm"), table)
    if mount is None or mount.kind != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    found = kind_of(Path("/dev/shm"), Path("/proc/self/mountinfo").read_text())
    assert (found.level, found.text) == ("warn", "tmpfs at /dev/shm: in memory")


def test_locks_and_the_write_ahead_log_are_tried_for_real(tmp_path: Path) -> None:
    (found,) = locks(Place(tmp_path / "not" / "yet"))
    assert found.level == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_does_not_hold_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # what some network file systems do
    (found,) = locks(Place(tmp_path))
    assert found.level == "no"
    assert "two masters could write one run" in found.text


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert [one.level for one in room(Place(tmp_path / "runs"))] == ["ok"]
    if os.geteuid() == 0:
        place = Path("/proc/sys")  # where even root cannot
    else:
        place = tmp_path / "closed"
        place.mkdir(mode=0o555)
    (found,) = room(Place(place))
    assert found.level == "no"
    assert "cannot be written" in found.text


# Limits ----------------------------------------------------------------------------------------------------------


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_the_tightest_limit_of_version_two_counts(tmp_path: Path) -> None:
    found = limits(
        tree(
            tmp_path,
            {
                "proc/self/cgroup": "0::/a/b",
                "proc/self/mountinfo": "30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate",
                "sys/fs/cgroup/a/memory.max": "1000000",
                "sys/fs/cgroup/a/memory.current": "600000",
                "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 200000",
                "sys/fs/cgroup/a/b/memory.max": "max",
                "sys/fs/cgroup/a/b/cpu.max": "150000 100000",
                "sys/fs/cgroup/a/cpu.max": "max 100000",
                "sys/fs/cgroup/a/b/pids.max": "512",
            },
        )
    )
    assert found == Limits(memory=1_000_000, memory_used=400_000, cpus=1.5, processes=512)


def test_a_container_of_version_one_sees_its_own_limits(tmp_path: Path) -> None:
    found = limits(
        tree(
            tmp_path,
            {
                "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:pids:/docker/abc\n1:name=a:/",
                "proc/self/mountinfo": "30 1 0:1 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
                "31 1 0:2 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
                "32 1 0:3 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/pids/pids.max": "max",
            },
        )
    )
    assert found == Limits(memory=2_000_000, memory_used=500_000, cpus=0.5)


def test_no_limit_is_none(tmp_path: Path) -> None:
    endless = {
        "proc/self/cgroup": "5:memory:/",
        "proc/self/mountinfo": "30 1 0:1 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    }
    assert limits(tree(tmp_path, endless)).memory is None
    assert limits(tmp_path / "nothing") == Limits()
    here = limits()
    assert here.memory is None or here.memory > 1 << 20


def test_a_containers_memory_counts_where_it_is_less() -> None:
    meminfo = "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n"
    assert Memory(meminfo, Limits(memory=4 << 30, memory_used=1 << 30)).used == 1 << 30
    assert "allowed to this container" in of_memory(Memory(meminfo, Limits(memory=4 << 30, memory_used=0))).text
    assert not Memory(meminfo, Limits(memory=1 << 50)).contained


def test_rays_memory_monitor_is_read_as_ray_reads_it() -> None:
    half = Memory("MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n", Limits())
    assert of_monitor(half, {}).level == "ok"
    assert of_monitor(half, {"RAY_memory_monitor_refresh_ms": "0"}).level == "warn"
    assert of_monitor(half, {"RAY_memory_usage_threshold": "0.4"}).level == "no"
    assert of_monitor(half, {"RAY_memory_usage_threshold": "much"}).level == "no"


def test_cores_that_a_container_does_not_allow_are_told() -> None:
    assert of_cores(8, 8, Limits()).level == "ok"
    found = of_cores(64, 64, Limits(cpus=2.5))
    assert (found.level, found.text) == ("warn", "64 seen, 2.5 allowed by the container")
    assert found.remedy.startswith("--workers 2:")
    assert of_cores(64, 4, Limits(cpus=16.0)).text == "64 seen, 4 allowed by its affinity"


def test_limits_of_files_and_processes_are_told_with_what_raises_them() -> None:
    assert of_files(65536, 65536).level == "ok"
    assert of_files(1024, 1 << 20).remedy == "ulimit -n 65536"
    assert "limits.conf" in of_files(1024, 2048).remedy
    assert of_processes(None, None).text == "no limit"
    assert "pids-limit" in of_processes(100_000, 500).remedy


# Ray -------------------------------------------------------------------------------------------------------------

SECRET = "0123456789abcdef-sentinel"


def token_file(home: Path, mode: int, content: str = SECRET) -> Path:
    (home / ".ray").mkdir(exist_ok=True)
    file = home / ".ray" / "auth_token"
    file.write_text(content)
    file.chmod(mode)
    return file


def test_a_token_is_found_and_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = token_file(tmp_path, 0o600)
    found = [
        of_token({}, tmp_path, clustered=False),
        of_token({"RAY_AUTH_MODE": "token"}, tmp_path, clustered=True),
        of_token({"RAY_AUTH_TOKEN": SECRET}, tmp_path / "other", clustered=False),
        of_token({"RAY_AUTH_TOKEN_PATH": str(file)}, tmp_path / "other", clustered=False),
    ]
    assert [one.level for one in found] == ["ok"] * 4
    assert of_token({}, tmp_path, clustered=True).level == "warn"  # Ray would not show it
    assert not any(SECRET in one.text + one.remedy for one in found)


def test_a_token_that_others_may_read_is_told(tmp_path: Path) -> None:
    token_file(tmp_path, 0o644)
    found = of_token({}, tmp_path, clustered=False)
    reachable = all(stat.S_IMODE(folder.stat().st_mode) & 0o011 for folder in (tmp_path / "x").parents)
    assert found.level == ("warn" if reachable else "ok")
    assert not reachable or found.remedy.startswith("chmod 600")


def test_a_token_that_is_missing_where_one_is_asked_for_is_told(tmp_path: Path) -> None:
    assert of_token({}, tmp_path, clustered=False).level == "ok"
    assert of_token({"RAY_AUTH_MODE": "token"}, tmp_path, clustered=False).level == "no"
    assert of_token({"RAY_AUTH_TOKEN_PATH": "/none"}, tmp_path, clustered=False).level == "no"
    assert of_token({"RAY_AUTH_MODE": "tokens"}, tmp_path, clustered=False).level == "no"
    token_file(tmp_path, 0o600, "\n")
    assert "is empty" in of_token({}, tmp_path, clustered=False).text


HERE = {"python": "3.11.7", "ray": "2.60.0", "evo": "0.1.0"}
NODE = {
    **HERE,
    "host": "n1",
    "executable": "/usr/bin/python",
    "missing": [],
    "nonce": "abc",
    "mode": "token",
    "token": True,
    "shm": (10**9, 10**9),
    "shm_writable": True,
    "devices": 0,
}


@pytest.mark.parametrize(
    ("differs", "level", "text"),
    [
        ({}, "ok", "Python 3.11.7, Ray 2.60.0, evo 0.1.0, token found, clock +0.00 s"),
        ({"evo": None}, "ok", "evo is shipped to it"),
        ({"devices": 2}, "ok", "2 gpus"),
        ({"python": "3.12.1"}, "no", "Python 3.12.1 and Ray 2.60.0; here 3.11.7 and 2.60.0"),
        ({"ray": "2.59.0"}, "no", "Python 3.11.7 and Ray 2.59.0; here 3.11.7 and 2.60.0"),
        ({"python": "3.11.9"}, "warn", "Python 3.11.9, here 3.11.7"),
        ({"evo": "0.0.9"}, "warn", "has evo 0.0.9, here 0.1.0"),
        ({"missing": ["numpy"]}, "no", "numpy missing in /usr/bin/python"),
        ({"nonce": ""}, "warn", "does not see the run directory"),
        ({"mode": ""}, "warn", "RAY_AUTH_MODE is not set there"),
        ({"token": False}, "no", "no token is found there"),
        ({"shm": None}, "no", "has no /dev/shm"),
        ({"shm": (64 << 20, 64 << 20)}, "warn", "/dev/shm: 0.07 of 0.07 GB free"),
    ],
)
def test_what_differs_on_a_node_is_told(differs: dict[str, object], level: str, text: str) -> None:
    (found,) = of_node("n1", {**NODE, **differs}, HERE, "abc", 0.0)
    assert (found.level, found.what) == (level, "node n1")
    assert text in found.text
    assert (found.remedy == "") == (level == "ok")


def test_a_clock_that_is_off_is_told() -> None:
    (found,) = of_node("n1", NODE, HERE, "abc", -7.0)
    assert (found.level, found.text) == ("warn", "its clock is 7.0 s behind")


# Tools -----------------------------------------------------------------------------------------------------------


def program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_a_compiler_is_tried_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here")
    program(tmp_path / "bin", "gcc", "echo 'stdio.h: no such file' >&2; exit 1")
    program(tmp_path / "bin", "g++", "printf '#!/bin/sh\\nexit 3\\n' > hello; chmod +x hello")
    for tool in ("cc", "as", "ld", "collect2", "sh", "chmod"):
        if place := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(place)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = {one.what: one for one in compilers(Place(tmp_path))}
    assert found["compiler cc"].text.endswith("compiles, and it runs")
    assert (found["compiler gcc"].level, "stdio.h" in found["compiler gcc"].text) == ("no", True)
    assert "does not run (exit code 3)" in found["compiler g++"].text
    assert found["compiler nvcc"].level == "warn"


def test_gpus_are_those_that_the_driver_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    program(
        tmp_path / "bin",
        "nvidia-smi",
        "echo '0, NVIDIA H200, 143771, 4, 570.1'; echo '1, NVIDIA H200, 143771, 0, 570.1'",
    )
    found = [one for one in gpus(Place(tmp_path)) if one.what.startswith("gpu ")]
    assert [one.text for one in found] == [
        "NVIDIA H200, 4 of 143771 MiB taken, driver 570.1",
        "NVIDIA H200, 0 of 143771 MiB taken, driver 570.1",
    ]
    program(tmp_path / "bin", "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    (broken,) = gpus(Place(tmp_path))
    assert (broken.level, broken.text) == ("no", "nvidia-smi: NVIDIA-SMI has failed")


# Packages --------------------------------------------------------------------------------------------------------


def test_versions_are_compared_as_numbers() -> None:
    assert satisfies("2.60.0", ">=2.50")
    assert satisfies("2.13.1+cpu", ">=2.13,<2.14")
    assert not satisfies("2.14.0", ">=2.13,<2.14")
    assert not satisfies("2.9", ">=2.50")
    assert satisfies("1.0", "")


def test_what_evo_needs_is_read_from_its_metadata() -> None:
    assert "numpy" in dict(needs_of(None))
    assert "ray" in dict(needs_of("ray"))


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from evo.doctor.finding import Place
from evo.doctor.interpreter import extras, packages
for one in [*packages(Place(Path("."))), *extras(Place(Path(".")))]:
    print(one.level, one.what, one.text, one.remedy, sep="|")
"""


def test_a_package_that_cannot_be_imported_is_told_with_the_command_that_gets_it(tmp_path: Path) -> None:
    script = BLOCKED.format(blocked={"rich", "numba"})
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout.splitlines()
    found = {line.split("|")[1]: line.split("|") for line in said}
    assert found["packages"][0] == "no"
    assert "rich" in found["packages"][2]
    assert found["packages"][3] == "pip install evo"
    assert found["extra fast"][0] == "warn"
    assert found["extra fast"][2].endswith("for large archives")
    assert found["extra fast"][3] == "pip install 'evo[fast]', if you need it"


def test_a_folder_that_hides_a_package_is_told(tmp_path: Path) -> None:
    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "__init__.py").write_text("")
    script = (
        "import sys; sys.path.insert(0, '.')\nfrom evo.doctor.interpreter import layout\n"
        "(found,) = layout(None); print(found.level, found.text)"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("no ")
    assert f"{tmp_path}/operators is in the way" in said.stdout
