"""The staleness campaign: it tries to have a revoked token accepted later than was promised.

``python -m tests.staleness`` runs it; see :mod:`tests.staleness.__main__`.
"""
