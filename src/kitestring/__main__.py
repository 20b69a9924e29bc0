"""``python -m kitestring``: the same as the command."""

from kitestring.app.cli.main import main

main()
