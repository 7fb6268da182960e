"""An explicit-state model of the journal of endings: a check of the protocol, not of our code.

One subject on shard S, a primary with one or two replicas, has session s0 and, later, login s1.
Three journal shards of two nodes each keep the endings that S cannot confirm; S may be one of them.
A revoker ends, a carrier (a second process) carries out, trims and fills, verifiers keep evidence.
Nodes crash, restart, part and fail over in any order. What must hold in every state is in `rules`.

``python -m tests.journal_model --help``; what is modelled and what not: docs/why/journal-model.md.
"""
