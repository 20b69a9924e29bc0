"""The wheel alone, in a fresh environment without anything that only the tests need."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Seconds for one step; installing fetches a handful of packages.
PATIENCE_S = 120
#: Imports that lead nowhere without the extras `tor` and `testing`, and outside of a type checker.
ABSENT = ["_typeshed", "aiohttp_socks", "pytest"]
#: Told by a Python that has the wheel: where it is, and which of its imports, early or late, lead nowhere.
LOOK = """
import ast, importlib.metadata, importlib.util, json, pathlib, kitestring
package = pathlib.Path(kitestring.__file__).parent
imported = set()
for file in package.rglob("*.py"):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
print(json.dumps({
    "version": importlib.metadata.version("kitestring"), "package": str(package),
    "typed": (package / "py.typed").is_file(),
    "missing": sorted(name for name in imported if importlib.util.find_spec(name) is None),
}))
"""


def run(*command: str | Path, home: Path | None = None) -> str:
    """What a command printed. ``home`` stands for a machine of its own: nothing of this one's environment is seen."""
    environment = None if home is None else {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [str(part) for part in command], cwd=home, env=environment, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def can_fetch(directory: Path) -> bool:
    """Whether the package that builds ours can be had."""
    ask = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory), "hatchling"]
    return subprocess.run(ask, capture_output=True, check=False, timeout=PATIENCE_S).returncode == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    if not can_fetch(directory / "probe"):
        pytest.skip("no package index can be reached, and a fresh environment has to be filled from one")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory / "built", ROOT)
    (built,) = (directory / "built").iterdir()
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the programs of an environment that holds the wheel and what it asks for."""
    environment = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, ROOT / "tools" / "make_venv.py", environment)
    run(environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    return environment / "bin"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    empty = tmp_path / "home"
    empty.mkdir()
    return empty


@pytest.mark.timeout(5 * PATIENCE_S)
def test_the_wheel_is_typed_and_finds_everything_it_imports(wheel: Path, programs: Path, home: Path) -> None:
    version = wheel.name.split("-")[1]
    assert run(programs / "kitestring", "--version", home=home).split()[-1] == version
    told = json.loads(run(programs / "python", "-I", "-c", LOOK, home=home))
    assert (told["version"], told["typed"], told["missing"]) == (version, True, ABSENT)
    assert Path(told["package"]).is_relative_to(programs.parent)


@pytest.mark.timeout(5 * PATIENCE_S)
def test_it_starts_on_an_empty_home_answers_on_its_socket_and_stops_when_told(programs: Path, home: Path) -> None:
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [programs / "kitestring", "up", "--json"], cwd=home, env=environment, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        try:
            card = json.loads(service.stdout.readline())
            # Only a running service makes an invoice, so this went through its socket.
            invoice = json.loads(run(programs / "kitestring", "invoice", "21", "--json", home=home))
        finally:
            service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE_S) == 0
    assert card["noffer"].startswith("noffer1")
    assert invoice["bolt11"].startswith("lnbcrt210n1")
