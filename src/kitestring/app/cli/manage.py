"""``kitestring manage``: offers that apps make for you, and the links over which they do."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.debit import GRANT_END
from kitestring.app.cli.for_ever import agree_to_end, yes_option
from kitestring.app.cli.managing import COMMANDS
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import facts, short_key, when

_POLICIES = click.Choice(["deny", "ask"])
#: What a key without a grant gets.
_WORDS = {"deny": "deny: the answer is no", "ask": "ask: you decide about each question"}
_delete_offers = click.option(
    "--delete-offers", is_flag=True, help="Delete its offers too; without it they go on selling, for you."
)


command: Final = click.Group("manage")


@command.command("link")
@click.argument("label")
@click.option(
    "--policy", type=_POLICIES, default="ask", help="What a key without a grant gets (default: you are asked)."
)
@click.option("--account", default="owner", metavar="NAME", help="The account that is paid (default: the node itself).")
@qr_options
@key_option
@common
def link(shell: Shell, label: str, policy: str, account: str, key: str, qr: Qr) -> None:
    """Make a link for an app, and show its code.

    LABEL is for you alone. Give the code only to the app that shall manage offers: its id is random, and nobody else
    can ask.
    """
    result = shell.call("manage_link", {"label": label, "policy": policy, "account": account}, key)
    qr.show(shell, result, result["nmanage"])


@command.command("links")
@common
def links(shell: Shell) -> None:
    """List your links and their codes."""
    result = shell.read("manage_links")
    empty = "no links for apps; make one with: kitestring manage link LABEL"
    shell.show(result, "\n\n".join(map(_described, result["links"])) or empty)


@command.command("policy")
@click.argument("link")
@click.argument("policy", type=_POLICIES)
@key_option
@common
def policy(shell: Shell, link: str, policy: str, key: str) -> None:
    """Change what a link says to apps without a grant.

    LINK is its label, its id or its code; POLICY is deny or ask. Grants stay as they are.
    """
    result = shell.call("manage_policy", {"link": link, "policy": policy}, key)
    shell.note("changed:" if result["changed"] else "it is so already:")
    shell.show(result, _described(result))


@command.command("relink")
@click.argument("link")
@qr_options
@key_option
@common
def relink(shell: Shell, link: str, key: str, qr: Qr) -> None:
    """Make a code anew, over the relays of today.

    LINK is its label, its id or its code. The old code works for as long as one of the relays in it is served; offers
    that are made from now on name the relays of today.
    """
    result = shell.call("manage_relink", {"link": link}, key)
    if not result["changed"]:
        shell.note(f"the code of {result['label']} names the relays of today already")
    elif result["left_relays"]:
        shell.note(
            f"give out the new code of {result['label']}: the old one works as long as an old relay does, and "
            f"{', '.join(result['left_relays'])} is not served for it any more from the next start on"
        )
    qr.show(shell, result, result["nmanage"])


@command.command("unlink")
@click.argument("link")
@_delete_offers
@yes_option
@key_option
@common
def unlink(shell: Shell, link: str, delete_offers: bool, yes: bool, key: str) -> None:
    """End a link and its grants forever.

    LINK is its label, its id or its code. The offers that were made over it go on selling, unless you delete them with
    it.
    """
    agree_to_end(shell, f"the link {link}", "the apps that have it can manage nothing here any more", yes=yes)
    result = shell.call("manage_unlink", {"link": link, "delete_offers": delete_offers}, key)
    ended = {0: "it had no grants", 1: "its one grant has ended with it"}
    grants = ended.get(result["grants"], f"its {result['grants']} grants have ended with it")
    shell.show(result, f"the link {result['label']} is ended, and {grants}; {_of_offers(result)}")


@command.command("grants")
@click.option("--link", default="", metavar="LINK", help="Those of one link (default: all).")
@common
def grants(shell: Shell, link: str) -> None:
    """List the apps that manage offers without asking."""
    result = shell.read("manage_grants", {"link": link})
    rows = result["grants"]
    empty = "no app manages offers without asking; `kitestring approve ID --always` lets one do so"
    shell.show(result, fitted(rows, _COLUMNS) if rows else empty)


_COLUMNS: Final = (
    Column("name", lambda found: found["name"], least=10),
    Column("offers", lambda found: f"{found['offers']:,} of {found['most_offers']:,}"),
    Column("expires", lambda found: when(found["expires_at"]), rank=3),
    Column("at", lambda found: found["link"], rank=1, least=6, most=24),
    Column("account", lambda found: found["account"], rank=4, least=8, most=24),
    Column("key", lambda found: short_key(found["npub"]), rank=2),
    Column("id", lambda found: found["grant_id"], least=GRANT_END, keeps_end=True),
)


@command.command("revoke")
@click.argument("grant")
@_delete_offers
@key_option
@common
def revoke(shell: Shell, grant: str, delete_offers: bool, key: str) -> None:
    """End the grant of an app forever.

    GRANT is its id (the last six characters are enough), its name, or its key. The app may ask again. Its offers go on
    selling, unless you delete them with it.
    """
    result = shell.call("manage_revoke", {"grant": grant, "delete_offers": delete_offers}, key)
    shell.show(result, f"{short_key(result['npub'])} manages nothing any more without asking; {_of_offers(result)}")


for _command in COMMANDS:
    command.add_command(_command)


def _of_offers(result: dict[str, Any]) -> str:
    if result["deleted_offers"]:
        return f"{result['deleted_offers']:,} of its offers are deleted: whoever asks them is told that there is none"
    if result["left_offers"]:
        return f"{result['left_offers']:,} of its offers go on selling; `kitestring offer delete` ends one"
    return "it had no offers"


def _described(found: dict[str, Any]) -> str:
    return facts(
        [
            ("label", found["label"]),
            ("policy", _WORDS[found["policy"]]),
            ("grants", str(found["grants"])),
            ("offers", f"{found['offers']:,}"),
            ("account", found["account"]),
            ("old relay", ", ".join(found["old_relays"])),
            ("code", found["nmanage"]),
        ]
    )
