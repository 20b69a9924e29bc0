"""Make a virtual environment with pip in it: `python tools/make_venv.py DIRECTORY`.

Debian keeps the parts that `python -m venv` needs for pip in a package of their own, which a fresh machine lacks. So
the environment is made without pip, and pip comes from its own wheel: out of a directory of PIP_FIND_LINKS, else from
the package index that pip itself would ask. Only the standard library is used.
"""

import configparser
import hashlib
import html.parser
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

INDEX = "https://pypi.org/simple"
# From this version on pip knows dependency groups.
PIP_MINIMUM = (25, 1)
FETCH_ATTEMPTS = 3
TIMEOUT_S = 60
WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")


def setting(name: str) -> str | None:
    """A setting of pip: from the environment, then the user's configuration file, then the machine's."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    files = configparser.RawConfigParser()
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    places = [Path("/etc/pip.conf"), Path("~/.pip/pip.conf").expanduser(), own / "pip" / "pip.conf"]
    files.read([*places, *map(Path, filter(None, [os.environ.get("PIP_CONFIG_FILE")]))])
    for section in ("install", "global"):
        if files.has_option(section, name):
            return files.get(section, name)
    return None


class Links(html.parser.HTMLParser):
    """The addresses on a page of a package index."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def fetch(url: str) -> bytes:
    """What an address holds, with pip's certificate setting and the machine's proxy. Raises OSError."""
    context = ssl.create_default_context(cafile=setting("cert") or None)
    headers = {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.5"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - pip's own setting, or what its page links to
    for attempt in range(1, FETCH_ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310 - as above
                return bytes(answer.read())
        except OSError:
            if attempt == FETCH_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def version_of(address: str) -> tuple[int, ...]:
    """The version of pip in a wheel's name; `()` for any other file and for pre-releases."""
    name = urllib.parse.urlsplit(address).path.rpartition("/")[2]
    found = WHEEL.fullmatch(name)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def local_wheel() -> Path | None:
    """The newest usable wheel of pip in the directories of PIP_FIND_LINKS."""
    wheels = [
        wheel
        for place in (setting("find-links") or "").split()
        if Path(place).is_dir()
        for wheel in Path(place).iterdir()
        if version_of(wheel.name) >= PIP_MINIMUM
    ]
    return max(wheels, key=lambda wheel: version_of(wheel.name), default=None)


def fetched_wheel(directory: Path) -> Path:
    """The newest wheel of pip on the package index, its checksum compared with the index's."""
    page = (setting("index-url") or INDEX).rstrip("/") + "/pip/"
    links = Links()
    links.feed(fetch(page).decode())
    newest = max(links.found, key=version_of, default="")
    if version_of(newest) < PIP_MINIMUM:
        raise OSError(f"{page} has no pip of {'.'.join(map(str, PIP_MINIMUM))} or newer")
    address, _, promised = urllib.parse.urljoin(page, newest).partition("#sha256=")
    content = fetch(address)
    if promised and hashlib.sha256(content).hexdigest() != promised:
        raise OSError(f"{address} is not what the package index promised")
    wheel = directory / urllib.parse.urlsplit(address).path.rpartition("/")[2]
    wheel.write_bytes(content)
    return wheel


def main() -> int:
    """Returns the exit code."""
    target = Path(sys.argv[1])
    venv.EnvBuilder(with_pip=False, clear=True, symlinks=True).create(target)
    with tempfile.TemporaryDirectory() as directory:
        try:
            wheel = local_wheel() or fetched_wheel(Path(directory))
        except OSError as reason:
            sys.stderr.write(f"pip could not be fetched: {reason}\n")
            return 1
        install = [target / "bin" / "python", wheel / "pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
        return subprocess.run([str(part) for part in install], check=False).returncode  # noqa: S603 - fixed command


if __name__ == "__main__":
    sys.exit(main())
