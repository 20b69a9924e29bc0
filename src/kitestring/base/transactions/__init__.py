"""Transactions as values, one file for what belongs together, and what a store answers to each of them (answers.py).

A value holds no callable, so that a store can apply a batch of them in one commit. Times are Unix seconds and always
given by the caller: a store never reads a clock. The rules behind each field: docs/explanation/money-safety.md.
"""
