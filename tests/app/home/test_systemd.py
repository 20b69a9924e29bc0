"""The unit is one that systemd reads, allows what the service needs, and the service says when it is ready."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kitestring.app.home.place import DATA_DIR_VARIABLE
from kitestring.app.home.systemd import READY, STATE_DIR, is_hidden, notify, unit
from kitestring.app.service.core import GRACE_S
from kitestring.base.errors import Exit
from tests.kit.app.systemd import Systemd, read_unit

PROGRAM = Path("/opt/kite string/50%/$x/kitestring")


def test_the_unit_keeps_its_data_where_systemd_makes_a_place_for_it() -> None:
    settings = read_unit(unit(None))
    assert settings["StateDirectory"] == [STATE_DIR.name]
    assert settings["StateDirectoryMode"] == ["0700"]
    assert settings["Environment"] == [f"{DATA_DIR_VARIABLE}={STATE_DIR}"]
    assert settings["ExecStart"] == ["/opt/kitestring/bin/kitestring up"]
    assert settings["User"] == settings["Group"] == ["kitestring"]


def test_the_unit_tries_again_what_passes_and_not_what_is_wrong() -> None:
    settings = read_unit(unit(None))
    assert settings["Restart"] == ["on-failure"]
    assert settings["RestartPreventExitStatus"] == [str(Exit.USAGE.value)]
    assert int(settings["TimeoutStopSec"][0]) > GRACE_S


def test_the_unit_takes_away_what_the_service_does_not_need_and_leaves_what_it_does() -> None:
    settings = read_unit(unit(None))
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "LockPersonality"):
        assert settings[name] == ["yes"]
    assert (settings["ProtectSystem"], settings["CapabilityBoundingSet"]) == (["strict"], [""])
    families = settings["RestrictAddressFamilies"][0].split()
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(families)
    assert "MemoryDenyWriteExecute" not in settings, "the library of secp256k1 is given a callback"


def test_the_path_of_the_program_is_written_as_a_unit_reads_it() -> None:
    (line,) = (line for line in unit(PROGRAM).splitlines() if line.startswith("ExecStart="))
    assert line == 'ExecStart="/opt/kite string/50%%/$$x/kitestring" up'
    assert read_unit(unit(Path("/usr/bin/kitestring")))["ExecStart"] == ["/usr/bin/kitestring up"]


def test_a_program_in_a_home_is_hidden_from_the_service() -> None:
    assert is_hidden(Path("/home/me/.local/bin/kitestring"))
    assert is_hidden(Path("/root/venv/bin/kitestring"))
    assert not is_hidden(Path("/opt/kitestring/bin/kitestring"))


def test_systemd_itself_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    """Where there is no systemd, the other tests have to do."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    written = tmp_path / "kitestring.service"
    written.write_text(unit(Path("/bin/true")).replace("User=kitestring\nGroup=kitestring\n", ""))
    done = subprocess.run([program, "verify", written], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if written.name in line]) == (0, [])


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_state_is_told_where_systemd_listens(tmp_path: Path, is_abstract: bool) -> None:
    address = f"@kitestring-{tmp_path.name}-{tmp_path.parent.name}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        systemd.settimeout(5)
        notify(READY, {"NOTIFY_SOCKET": address})
        assert systemd.recv(100) == b"READY=1"


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    notify(READY, {})
    notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_the_service_is_ready_for_its_owner_when_it_says_so_and_says_when_it_stops(tmp_path: Path) -> None:
    def place(text: str) -> str:
        return text.replace(str(STATE_DIR), str(tmp_path / "data"))

    systemd = Systemd(tmp_path, place)
    program = Path(sys.executable).with_name("kitestring")
    systemd.start(unit(program))
    try:
        asked = {DATA_DIR_VARIABLE: str(tmp_path / "data")}
        told = subprocess.run([program, "invoice", "21"], env=asked, capture_output=True, check=True)
        assert told.stdout.startswith(b"lnbcrt210n1")
        assert systemd.notes == ["READY=1"]
    finally:
        code = systemd.stop()
    assert (code, systemd.notes) == (0, ["READY=1", "STOPPING=1"])
    assert "nostr+walletconnect" not in systemd.journal
