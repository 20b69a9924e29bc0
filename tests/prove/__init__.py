"""The proof that money stays whole: flows killed at every point, seeded worlds, random transactions, spoilt input.

``make test`` runs a short lane of it (the tests in this folder), ``make prove`` the long one on all cores.
"""
