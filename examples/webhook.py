"""Sell with an offer, and hear of each payment by a webhook: ``WEBHOOK_SECRET=… python examples/webhook.py 8080``.

    kitestring offer create tea --price 210 --webhook http://127.0.0.1:8080/paid
    kitestring offer webhook tea          # shows the secret

For a server on the machine itself ``network.private_hosts = ["127.0.0.1:8080"]`` stands in the settings.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

if len(sys.argv) != 2 or not sys.argv[1].isdecimal() or not os.environ.get("WEBHOOK_SECRET"):
    print("usage: python examples/webhook.py PORT, and the secret in the variable WEBHOOK_SECRET", file=sys.stderr)
    sys.exit(2)
SECRET = os.environ["WEBHOOK_SECRET"]
PORT = int(sys.argv[1])
URL = f"http://127.0.0.1:{PORT}/paid"  # exactly as kitestring was told
#: Ids of what was handed out: a payment may be told twice.
DONE = Path("webhook.done")
#: A signature that is older was recorded by somebody, and is shown once more.
MAX_AGE_S = 300


def is_signed(header: str, method: str, url: str, body: bytes) -> bool:
    """Whether ``header`` is the signature of this request, made in the last minutes."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    at, given = parts.get("t", ""), parts.get("v1", "")
    if not at.isdecimal() or abs(time.time() - int(at)) > MAX_AGE_S:
        return False
    signed = f"{at}\n{method}\n{url}\n".encode() + body
    right = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), given.encode())


class Till(BaseHTTPRequestHandler):
    """Answers 204 when a payment is written down: only then nobody tells it again."""

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), 65_536))
        if self.path != "/paid" or not is_signed(self.headers.get("X-Kitestring-Signature", ""), "POST", URL, body):
            self.answer(403)
            return
        event = json.loads(body)
        known = DONE.read_text().split() if DONE.exists() else []
        if event["type"] == "offer.paid" and event["id"] not in known:
            with DONE.open("a") as done:
                done.write(event["id"] + "\n")
            print(f"{event['label']}, paid with {event['amount_sats']} sat", flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing about each request."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", PORT), Till) as server:
        print("open", flush=True)
        server.serve_forever()
