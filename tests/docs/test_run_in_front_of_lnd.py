"""The page about lnd, followed in its order: every command that it shows is given, and what stands behind it is lnd."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kitestring.app.home.keyring import Keyring
from tests.kit.app.systemd import Systemd
from tests.kit.pages import blocks
from tests.rig import parts
from tests.rig.network import LightningRig
from tests.rig.process import Process, free_port, spawn, stop_all, wait_until

PAGE = "run-in-front-of-lnd"
#: Directories of a machine that the page names, and that are below the test's own directory here.
PLACES = ("/opt/kitestring", "/var/lib/kitestring", "/var/backups", "/etc/")
#: Programs that stand in for those of a machine, by their names. Each is a script of sh.
STAND_INS = {
    # as sudo does: the user's own environment is left behind
    "sudo": 'if [ "$1" = -u ]; then shift 2; fi\nexec env -i PATH="$PATH" HOME=/ "$@"',
    "useradd": 'echo "$@" >>{room}/users',
    # files keep their owner, who is the user of the test
    "install": (
        'set -- "$@" --\nwhile [ "$1" != -- ]; do\n'
        '  case "$1" in -o|-g) shift 2 ;; *) set -- "$@" "$1"; shift ;; esac\ndone\nshift\nexec {install} "$@"'
    ),
    "python3": 'echo "$@" >>{room}/environments',
    "sudoedit": 'cat {room}/settings "$1" >{room}/edited\ncat {room}/edited >"$1"',
    "lncli": 'exec {lncli} "$@"',
    "systemctl": 'echo "$@" >>{room}/systemctl',
}


@dataclass
class Machine:
    """A machine on which the page is followed."""

    room: Path
    systemd: Systemd
    defined: list[str] = field(default_factory=list)

    def place(self, text: str) -> str:
        """A text of the page with the places of this machine."""
        for name in PLACES:
            text = re.sub(rf"(?<![\w.]){re.escape(name)}", f"{self.room}{name}", text)
        return text

    def give(self, command: str) -> str:
        """Give a command in a shell of this machine's administrator, and return what it prints."""
        script = "\n".join(["set -eu", *self.defined, self.place(command)])
        environment = {"PATH": f"{self.room}/bin:/usr/bin:/bin", "HOME": str(self.room / "home"), "LANG": "C.UTF-8"}
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.room, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if re.match(r"\w+\(\) ", command):
            self.defined.append(self.place(command))
        if re.match(r"sudo systemctl .*--now kitestring", command):
            self.systemd.start((self.room / "etc/systemd/system/kitestring.service").read_text(encoding="utf-8"))
        return done.stdout


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "kitestring", "relay", "--port", str(port), "--memory", "--json"]
    running: Process = spawn("relay", command, tmp_path)
    wait_until(lambda: "ws://" in running.last_lines(), "the relay listens", running)
    yield f"ws://127.0.0.1:{port}"
    stop_all([running])


@pytest.fixture
def machine(tmp_path: Path, rig: LightningRig, relay: str) -> Iterator[Machine]:
    programs = parts.find_lnd()
    assert programs is not None
    machine = Machine(tmp_path, Systemd(tmp_path))
    machine.systemd.place = machine.place
    for directory in ("bin", "home/.lnd", "opt/kitestring/bin", "etc/systemd/system", "var/lib", "var/backups"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "home/.lnd/tls.cert").symlink_to(rig.a.tls_cert)
    lncli = f"{programs}/lncli --network=regtest --lnddir={rig.a.home} --rpcserver={rig.a.host}:{rig.a.rpc_port}"
    known = {"room": str(tmp_path), "lncli": lncli, "install": "/usr/bin/install"}
    scripts = {f"bin/{name}": text for name, text in STAND_INS.items()}
    scripts["opt/kitestring/bin/kitestring"] = f'exec {shlex.quote(sys.executable)} -m kitestring "$@"'
    scripts["opt/kitestring/bin/pip"] = 'echo "pip $@" >>{room}/environments'
    for name, script in scripts.items():
        written = re.sub(r"\{(room|lncli|install)\}", lambda found: known[found[1]], script)
        (tmp_path / name).write_text(f"#!/bin/sh\n{written}\n")
        (tmp_path / name).chmod(0o755)
    (settings,) = blocks(PAGE, "toml")
    here = settings.replace("127.0.0.1:8080", f"{rig.a.host}:{rig.a.rest_port}").replace(
        "wss://relay.example.com", relay
    )
    (tmp_path / "settings").write_text(machine.place(here))
    yield machine
    machine.systemd.end()


def commands() -> list[str]:
    """Every command of the page, but for the private network that one may try it on first."""
    text = "".join(blocks(PAGE, "sh")).replace("\\\n", " ")
    return [line for line in text.splitlines() if line and line != "make rig"]


async def test_the_page_followed_in_order_ends_with_lnd_behind_the_service(machine: Machine, rig: LightningRig) -> None:
    said = {command: machine.give(command) for command in commands()}
    journal = machine.systemd.journal
    assert journal.startswith("kitestring is up in front of kitestring-rig-a (regtest: no real money)\n")
    assert "sandbox" not in journal
    assert "kitestring-rig-a" in said["kite info"]
    assert [line for line in said["kite doctor"].splitlines() if not line.startswith(("ok ", "info "))] == []
    assert "and nothing else" in said["kite doctor"]
    invoice = machine.give("kite invoice 21").strip()
    assert (await rig.c.pay(invoice)).status == "SUCCEEDED"
    link = next(word for name, text in said.items() if " connect " in name for word in text.split() if "://" in word)
    assert link.startswith("nostr+walletconnect://")
    (backup,) = (machine.room / "var/backups/kitestring").iterdir()
    assert {path.name for path in backup.iterdir()} == {"kitestring.db", "kitestring.toml", "service.key"}
    assert machine.systemd.stop() == 0
    seed = (machine.room / "var/lib/kitestring/service.key").read_text().strip()
    key = Keyring(bytes.fromhex(seed)).service_key.hex()
    macaroon = (machine.room / "etc/kitestring/kitestring.macaroon").read_bytes().hex()
    secret = link.partition("secret=")[2].partition("&")[0]
    assert [
        word for word in (seed, key, macaroon, secret, "nostr+walletconnect") if word in machine.systemd.journal
    ] == []


def test_the_user_comes_first_and_everything_is_about_one_directory(machine: Machine) -> None:
    order = commands()
    positions = [next(at for at, line in enumerate(order) if word in line) for word in (
        "useradd", "/var/lib/kitestring /etc/kitestring", "bakemacaroon", "kite init", "sudoedit", "service-file",
        "systemctl enable", "kite doctor", "kite connect", "kite backup",
    )]  # fmt: skip
    assert positions == sorted(positions)
    assert not [line for line in order if re.match(r"(sudo -u \w+ )?kitestring ", line)], "about no other directory"
