"""``python -m kitestring``: how Ctrl-C is heard while the program is loaded, and that it is as before when it runs."""

import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from kitestring.__main__ import main
from kitestring.app.cli import main as program


@pytest.fixture(autouse=True)
def _sigint() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "behind nohup"])
def test_the_program_runs_with_the_handler_that_stood_before(
    handler: signal.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.signal(signal.SIGINT, handler)
    ran_with: list[object] = []

    def ended() -> NoReturn:
        ran_with.append(signal.getsignal(signal.SIGINT))
        raise SystemExit

    monkeypatch.setattr(program, "main", ended)
    with pytest.raises(SystemExit):
        main()
    assert ran_with == [handler]
