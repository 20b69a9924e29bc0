"""The pages say what is: generated parts are fresh, shown outputs are those of a run, links lead somewhere."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from docs.make import console, drawings, nwc, tables

from docs import generate
from kitestring.app.home.config import load
from kitestring.backend.lnd.macaroon import USED
from kitestring.base.payments import TRANSITIONS, State
from kitestring.ledger.audit.checks import CHECKS
from kitestring.wire.serve.nwc.codes import CODES
from kitestring.wire.serve.nwc.table import METHODS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAKERS = generate.makers()


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _blocks(page: Path, language: str) -> Iterator[str]:
    found = re.finditer(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return (block[1] for block in found)


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


# ---------------------------------------------------------------- freshness


@pytest.mark.parametrize("path", MAKERS, ids=_named)
def test_a_page_shows_what_the_program_says_today(path: Path) -> None:
    assert generate.is_fresh(path, MAKERS[path]()), f"{_named(path)} is stale: run `make docs`"


def test_a_stale_file_is_named_and_a_fresh_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh, stale = tmp_path / "fresh.md", tmp_path / "stale.md"
    fresh.write_text("as it is")
    stale.write_text("as it was")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "makers", lambda: {fresh: lambda: "as it is", stale: lambda: "as it is"})
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: stale.md; run `make docs`\n"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def _is_marked(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return console.MARK in text or console.NODE_MARK in text


def test_every_marked_page_has_a_block_that_is_run() -> None:
    marked = [page for page in PAGES if _is_marked(page)]
    assert len(marked) >= 4
    for page in marked:
        assert [command for block in _blocks(page, "console") for command in console.read_block(block)], page


def test_console_blocks_stand_on_marked_pages_only() -> None:
    unmarked = [page for page in PAGES if not _is_marked(page)]
    assert [_named(page) for page in unmarked if list(_blocks(page, "console"))] == []


# ---------------------------------------------------------------- comparing runs


@pytest.mark.parametrize("page", [page for page in PAGES if _is_marked(page)], ids=_named)
def test_no_page_shows_a_question_that_nobody_could_be_asked(page: Path) -> None:
    """Pages are run without a terminal: where their reader would be asked, they say ``--yes``."""
    for block in _blocks(page, "console"):
        assert "nobody can be asked here" not in block, "add --yes: the reader has a terminal, and would see a question"


def test_runs_that_differ_by_keys_are_the_same_and_by_words_are_not() -> None:
    before = f"paid 50 sat, fee 0.505 sat\npreimage {'ab' * 32}\nat 2026-11-21 13:50  paid  6ababe0e"
    assert console.same(before, before.replace("ab", "cd").replace("13:50", "09:01"))
    assert not console.same(before, before.replace("0.505", "0.506"))
    assert console.same(before, before.replace("6ababe0e", "12345678"))
    assert not console.same(before, before.replace("paid", "sent"))


def test_a_command_that_repeats_a_code_of_the_page_is_given_that_of_the_run() -> None:
    with console.Session() as session:
        session._learn("noffer1aaa\nnoffer1ccc", "noffer1bbb\nnoffer1ddd")
        assert session._as_of_this_run("pay noffer1aaa 21; pay noffer1ccc") == "pay noffer1bbb 21; pay noffer1ddd"


def test_a_block_is_read_as_commands_with_what_followed_each() -> None:
    first, second = console.read_block("$ export CODE=x\n$ echo $CODE\nx\n\n")
    assert (first.text, first.output) == ("export CODE=x", [])
    assert (second.text, second.output) == ("echo $CODE", ["x", ""])
    with pytest.raises(ValueError, match="begins with a command"):
        console.read_block("x\n$ echo x\n")


def test_what_was_begun_beside_is_waited_for_and_shown_to_its_end() -> None:
    with console.Session() as session:
        session._is_stopped = True
        begun = session.block(r"$ printf 'begun\nCtrl-C stops it.\nended\n' &" + "\n")
        assert begun.splitlines()[1:] == ["begun", "Ctrl-C stops it."]
        assert session.block("$ wait\n") == "$ wait\nended\n"


def test_a_command_is_typed_again_while_something_is_on_its_way_and_not_where_the_page_shows_that_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "cat news 2>/dev/null || { echo nothing; echo news >news; }"
    monkeypatch.setattr(console, "NOT_YET", {command: "nothing"})
    for shown, said in (("nothing", "nothing"), ("news", "news")):
        with console.Session(tmp_path) as session:
            session._is_stopped = True
            assert session.block(f"$ {command}\n{shown}\n") == f"$ {command}\n{said}\n"


# ---------------------------------------------------------------- drawings and tables


def test_every_state_and_every_step_is_drawn() -> None:
    steps = sum(len(after) for after in TRANSITIONS.values())
    svg, text = drawings.states_svg(), drawings.states_mermaid()
    assert svg.count("<line ") == steps
    assert all(f">{state.value}</text>" in svg for state in State)
    assert sum(" --> " in line and "[*]" not in line for line in text.splitlines()) == steps


def test_every_room_of_the_source_is_described() -> None:
    on_disk = {path.parent.name for path in (ROOT / "src/kitestring").glob("*/__init__.py")}
    assert {room for layer in tables.layers() for room in layer} == on_disk == set(tables.ROOMS)


def test_every_floor_of_app_is_described() -> None:
    app = ROOT / "src/kitestring/app"
    on_disk = {path.parent.name for path in app.glob("*/__init__.py")} | {
        path.stem for path in app.glob("*.py") if path.stem != "__init__"
    }
    assert {floor for layer in tables.floors() for floor in layer} == on_disk == set(tables.FLOORS)


def test_every_room_is_drawn_with_files_and_folders_that_it_has() -> None:
    svg = drawings.rooms_svg(tables.layers(), tables.floors(), tables.PARTS, tables.pure_rooms())
    assert all(f">{room}</text>" in svg for room in (*tables.ROOMS, *tables.FLOORS))
    for room, parts in tables.PARTS.items():
        folder = ROOT / "src/kitestring" / room
        paths = [folder / (part if part.endswith("/") else f"{part}.py") for part in parts]
        assert [path for path in paths if not path.exists()] == []


def test_arrows_of_the_picture_go_down() -> None:
    svg = drawings.rooms_svg(tables.layers(), tables.floors(), tables.PARTS, tables.pure_rooms())
    ends = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', svg)
    assert len(ends) >= len(tables.layers()) + len(tables.floors()) - 2
    assert all(from_x == to_x and float(from_y) < float(to_y) for from_x, from_y, to_x, to_y in ends)


def test_every_invariant_that_the_audit_checks_is_described() -> None:
    assert {name for name, _ in CHECKS} <= set(tables.INVARIANTS)
    assert list(tables.INVARIANTS) == [f"I{number}" for number in range(1, 17)]


def test_paths_of_the_source_that_pages_name_exist() -> None:
    source = ROOT / "src/kitestring"
    for page in PAGES:
        for name in re.findall(r"`([a-z_]+/[a-z_0-9/]+\.py)`", page.read_text(encoding="utf-8")):
            assert (source / name).exists() or (ROOT / name).exists(), f"{_named(page)}: {name}"


def _defined(path: Path) -> set[str]:
    """Names that a file defines: functions, classes with their methods and members, constants."""
    found: set[str] = set()
    for one in ast.parse(path.read_text(encoding="utf-8")).body:
        names = _names(one)
        found |= names
        if isinstance(one, ast.ClassDef):
            found |= {f"{one.name}.{inner}" for part in one.body for inner in _names(part)}
    return found


def _names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_functions_that_tables_of_pages_name_are_in_the_file_beside_them() -> None:
    rows = [
        (name, function)
        for page in (ROOT / "docs/explanation").glob("*.md")
        for name, functions in re.findall(r"\| `([a-z_]+/[a-z_0-9/]+\.py)` \| ([^|]+) \|", page.read_text("utf-8"))
        for function in re.findall(r"`([A-Za-z_.]+)`", functions)
    ]
    assert len(rows) > 30
    assert [row for row in rows if row[1] not in _defined(ROOT / "src/kitestring" / row[0])] == []


def test_members_of_classes_that_pages_of_explanation_name_are_there() -> None:
    defined = set().union(*(_defined(path) for path in (ROOT / "src/kitestring").rglob("*.py")))
    for page in (ROOT / "docs/explanation").glob("*.md"):
        for name in re.findall(r"`([A-Z][A-Za-z]+\.[a-z_]+)`", page.read_text(encoding="utf-8")):
            assert name in defined, f"{_named(page)}: {name}"


def test_every_method_of_nostr_wallet_connect_has_one_row_and_the_codes_that_it_may_send() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", nwc.nwc_page(), re.MULTILINE)
    assert Counter(name for name, _ in rows) == Counter({*METHODS, *nwc.KNOWN})
    assert {name for name, served in rows if served == "yes"} == set(METHODS)
    named = [reason for reasons in (nwc.GENERAL, *nwc.REFUSALS.values()) for reason in reasons]
    assert all(CODES[reason] for reason in named)


# ---------------------------------------------------------------- links and examples


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in _anchors(target), f"{link}: there is no such heading"


def test_the_python_of_the_readme_is_that_of_the_examples() -> None:
    examples = [path.read_text(encoding="utf-8").splitlines() for path in (ROOT / "examples").glob("*.py")]
    blocks = list(_blocks(ROOT / "README.md", "python"))
    assert len(blocks) == 2
    for block in blocks:
        height = len(block.splitlines())
        windows = (lines[start : start + height] for lines in examples for start in range(len(lines)))
        assert any(dedent("\n".join(window)) == block.rstrip("\n") for window in windows), block


def test_no_example_asks_again_and_again_where_it_could_be_told() -> None:
    """They wait for notifications, or for answers that come when there is something to say."""
    for path in (ROOT / "examples").glob("*.py"):
        words = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert not words & {"sleep"}, f"{path.name} sleeps before it asks again"


def test_the_settings_shown_for_lnd_can_be_read(tmp_path: Path) -> None:
    (block,) = _blocks(ROOT / "docs/how-to/run-in-front-of-lnd.md", "toml")
    (tmp_path / "kitestring.toml").write_text(block, encoding="utf-8")
    assert load(tmp_path, environment={}).node_url == tomllib.loads(block)["node"]


def test_the_macaroon_shown_for_lnd_has_exactly_the_rights_that_are_needed() -> None:
    text = (ROOT / "docs/how-to/run-in-front-of-lnd.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^lncli bakemacaroon .*?(?<!\\)\n", text, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"[a-z]+:[a-z]+", command)) == USED
