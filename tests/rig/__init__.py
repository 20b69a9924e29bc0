"""A private Lightning network and the other real parts of the tests."""
