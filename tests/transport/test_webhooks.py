"""An address that can never be told of a payment is refused when it is set."""

from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Webhook
from kitestring.base.webhooks import MAX_WEBHOOK_CHARS
from kitestring.transport.webhooks import check_webhook

ASKED = ("name", "e-mail", "ok", "amount")


def refusal(url: str, form: str, *, own: bool = True) -> str:
    with pytest.raises(KitestringError) as caught:
        check_webhook(Webhook(url, form), ASKED, own=own, private_hosts=("10.0.0.5", "shop.lan:8443"))  # type: ignore[arg-type]  # a form by its text
    assert caught.value.reason is Reason.MALFORMED
    return caught.value.message


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://shop.example/paid?key=1", "post"),
        ("https://shop.example", "post"),
        ("http://10.0.0.5/paid", "post"),
        ("https://shop.lan:8443/paid", "post"),
        ("http://abc.onion/paid", "post"),
        ("https://shop.example/paid", "get"),
        ("https://shop.example{?amount,invoice,name}", "get"),
        ("https://shop.example/paid/{invoice}?a={amount}{&name}", "get"),
        ("https://shop.example/{amount}/paid?note={name}", "get"),
        ("https://shop.example{/amount}", "get"),
    ],
)
def test_an_address_of_the_owner_is_taken(url: str, form: str) -> None:
    check_webhook(Webhook(url, form), ASKED, own=True, private_hosts=("10.0.0.5", "shop.lan:8443"))  # type: ignore[arg-type]  # a form by its text


@pytest.mark.parametrize(
    ("url", "form", "words"),
    [
        ("shop.example/paid", "post", "no address that can be fetched"),
        ("ftp://shop.example/", "post", "no address that can be fetched"),
        ("https://a:b@shop.example/", "post", "user name or a password"),
        ("http://shop.example/", "post", "https is needed"),
        ("https://10.0.0.6/", "post", "not on a public address"),
        ("https://localhost/", "post", "not on a public address"),
        ("https://shop.example/#x", "post", "what follows #"),
        ("https://shop.example/{amount}", "post", "is a template"),
        ("https://shop.example/" + "a" * MAX_WEBHOOK_CHARS, "post", "at most 2,048 characters"),
        ("https://shop.example/{+name}", "get", "leave '+' out"),
        ("https://shop.example/{", "get", "stray braces"),
        ("https://shop.example/{?price}", "get", "nothing is called 'price'"),
        ("https://shop.example/{?ok}", "get", "nothing is called 'ok'"),
        ("https://{name}.example/", "get", "the host of a webhook is fixed"),
        ("https://shop.example{amount}/", "get", "the host of a webhook is fixed"),
        ("https://shop.example:8{amount}/", "get", "the host of a webhook is fixed"),
        ("https://shop.example{.name}/", "get", "the host of a webhook is fixed"),
        ("https://shop.example/{name}/paid", "get", "in the query of an address alone"),
        ("https://shop.example{/name}", "get", "in the query of an address alone"),
        ("{amount}", "get", "no address that can be fetched"),
        ("http://10.0.0.6/{?amount}", "get", "https is needed"),
    ],
)
def test_an_address_that_could_be_told_nothing_is_refused_in_words(url: str, form: str, words: str) -> None:
    assert words in refusal(url, form)


@pytest.mark.parametrize("url", ["http://10.0.0.5/paid", "https://10.0.0.5/paid", "https://127.0.0.1/"])
def test_what_an_app_has_set_leads_to_no_private_host_whatever_the_owner_has_listed(url: str) -> None:
    assert refusal(url, "get", own=False)
