"""One scenario per finding of the attack on the money: docs/explanation/money-safety.md says which rule each one breaks."""
