"""The answers of the owner's commands: one type for each, with a description of every field.

The types are the contract of ``--json`` and of the doors; the tests hold every answer to them, and the reference is
made of them. Everything is always there: what is absent is null, and a list may be empty.
"""
