"""A dispenser of sats, one code after the other: ``python examples/dispenser.py RELAY [HOW_MANY]``.

It shows a code that whoever scans it takes 50 sats with, once, within five minutes, and the next one when that is over.
"""

import asyncio
import sys

import segno

from kitestring import DebitCode, KitestringError, Service, SessionCode, sat

PORTION, MINUTES = sat(50), 5


def show(session: SessionCode) -> None:
    code = str(session.ndebit)
    segno.make(code, error="l", micro=False).terminal(compact=True)
    print(f"scan this to take {session.max_amount}:\n{code}", flush=True)


async def one(service: Service, door: DebitCode) -> None:
    session = await service.add_session(door, PORTION, least=PORTION, expires_in_s=MINUTES * 60)
    show(session)
    end = await service.session_used(session)  # there is no other code before this one has ended
    print(f"{end.amount} taken, thank you" if end.state == "used" else "its time is over", flush=True)


async def main(relay: str, how_many: int | None = None) -> None:
    async with Service(backend="sandbox://", relays=[relay], store="dispenser.db") as service:
        # Keys without a session are told no: nobody is there to be asked.
        door = await service.add_pointer("dispenser", policy="deny", sessions="minted")
        for earlier in await service.sessions(door):  # of a run that was ended while one was shown
            print("a code of an earlier run is still good: waiting for its end", flush=True)
            await service.session_used(earlier)
        shown = 0
        while how_many is None or shown < how_many:
            await one(service, door)
            shown += 1


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        print("usage: python examples/dispenser.py RELAY [HOW_MANY]", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:3])))
    except KitestringError as error:
        sys.exit(f"error: {error}")
