"""`make rig`: a private Lightning network to try kitestring on, until Ctrl-C."""

import signal
import sys
import threading

from .network import LightningRig, RigError
from .node import LndNode
from .parts import find_lnd, say

_CARD = """
A private Lightning network runs: A - B - C, 8,000,000 sat on each side of both channels.

Put kitestring in front of node A:
  kitestring up --node '{node}'

Be somebody elsewhere on the network (node C):
  pay an invoice     {lncli} payinvoice --force BOLT11
  make an invoice    {lncli} addinvoice --amt 50
  see its channels   {lncli} listchannels

Certificates, macaroons and logs: {home}
Ctrl-C stops everything and deletes it."""


def _lncli(node: LndNode) -> str:
    programs = find_lnd()
    return f"{programs}/lncli --network=regtest --lnddir={node.home} --rpcserver={node.host}:{node.rpc_port}"


def main() -> int:
    """Returns the exit code."""
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    rig = LightningRig()
    say("starting btcd and three lnd nodes, some 15 seconds …")
    try:
        rig.start()
    except RigError as reason:
        say(str(reason))
        return 1
    try:
        say(_CARD.format(node=rig.a.backend_url, lncli=_lncli(rig.c), home=rig.home))
        while not asked_to_stop.wait(1.0):
            if rig.dead():
                say(f"{', '.join(rig.dead())} ended by itself; stopping the rest")
                return 1
    finally:
        rig.stop()
    say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
