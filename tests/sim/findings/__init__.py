"""One scenario per finding of the attack on the money. The rules that they break: docs/explanation/money-safety.md."""
