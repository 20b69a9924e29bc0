"""The answers of ``kitestring demo`` while it plays."""

from __future__ import annotations

from typing import Annotated, Any

from kitestring.app.owner.results.words import AnswerJson, says


class DemoSceneJson(AnswerJson):
    """A scene that begins."""

    scene: Annotated[int, says("Its number.")]
    title: Annotated[str, says("Its title.")]


class DemoTextJson(AnswerJson):
    """A happening."""

    scene: Annotated[int, says("The number of the scene.")]
    text: Annotated[str, says("The sentence.")]


class DemoWireJson(AnswerJson):
    """An event on the wire."""

    scene: Annotated[int, says("The number of the scene.")]
    wire: Annotated[str, says("What it is, in words.")]
    event: Annotated[dict[str, Any], says("The Nostr event.")]
    plaintext: Annotated[str, says("What is encrypted in it.")]


class DemoEndJson(AnswerJson):
    """The end of the story; the exit code is 1 when it is not good."""

    good: Annotated[bool, says("Whether everything held.")]
    events: Annotated[int, says("Events on the wire.")]
    forged: Annotated[int, says("Events among them with a wrong signature.")]
    violations: Annotated[list[str], says("Broken rules.")]
    killed_pid: Annotated[int, says("The process that was killed.")]
