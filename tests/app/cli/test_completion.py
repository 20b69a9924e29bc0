"""The script that a shell reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.app.console import Service, kitestring

#: Asks as bash does when TAB is pressed on the last word.
PRESS = """
eval "$(kitestring completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_kitestring_completion kitestring
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_this_program(shell: str) -> None:
    script = kitestring("completion", shell).stdout
    assert f"_KITESTRING_COMPLETE={shell}_complete" in script
    assert "_kitestring_completion" in script
    assert json.loads(kitestring("--json", "completion", shell).stdout) == {"shell": shell, "script": script}


def test_another_shell_is_refused() -> None:
    assert kitestring("completion", "tcsh").exit_code == 2


def test_bash_completes_words_options_and_names(service: Service) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    service.ok("connect", "till $(two)")

    def press(*typed: str) -> list[str]:
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        done = subprocess.run(
            [bash, "--norc", "-c", PRESS, "bash", *typed],
            env={"PATH": path, "KITESTRING_DATA_DIR": str(service.home)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert press("kitestring", "connection", "ro") == ["rotate"]
    assert press("kitestring", "connect", "--bud") == ["--budget"]
    assert press("kitestring", "revoke", "till") == [r"till\ \$\(two\)"]
