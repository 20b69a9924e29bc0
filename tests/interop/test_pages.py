"""Pages of docs/ that need Node.js are run as their reader runs them."""

import json
import re
from pathlib import Path

import pytest
from docs.make import console

from tests.conftest import NodeJs
from tests.kit.interop import pages

PAGES = pages.pages()
PACKAGES = Path(__file__).parent / "package.json"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(pages.DOCS)))
@pytest.mark.usefixtures("node_js")
def test_a_page_shows_what_the_programs_say_today(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    again = pages.rerun(text)
    assert console.same(again, text), (
        f"{page.name} is stale: run `python -m tests.kit.interop.pages`; a run says\n{again}"
    )


def test_a_page_that_shows_something_else_than_its_script_says_is_stale(node_js: NodeJs) -> None:
    assert node_js.node.is_file()
    page = "```js\n// hello.mjs: says hello\nconsole.log('hello');\n```\n```console\n$ node hello.mjs\n{}\n```\n"
    said = pages.rerun(page.replace("{}", "good-bye"))
    assert said == page.replace("{}", "hello")
    assert not console.same(said, page.replace("{}", "good-bye"))


def test_pages_install_the_packages_that_the_tests_have() -> None:
    pinned = json.loads(PACKAGES.read_text(encoding="utf-8"))["dependencies"]
    named = [
        named
        for page in PAGES
        for named in re.findall(r"^npm install (\S+)@(\S+)$", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert named
    assert {(package, pinned[package]) for package, _ in named} == set(named)
