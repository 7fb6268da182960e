"""A simulation of many processes on one cluster: what they cost it, and whether promises hold.

The decisions of the library (near cache, leases, evidence, journals, exchanges, circuit breakers,
heartbeats) are the real ones; they run under a virtual clock. Servers, the network and what a
process does around those decisions are modelled. Servers take as long for each request as was
measured on real ones, so a cluster that cannot keep up is seen to fall behind.

A run depends on its seed alone. Above ``--sampled`` processes, each simulated process stands for
several: its requests cost the servers as much as theirs would.

``python -m tests.simulation --help``; what is modelled: docs/why/a-thousand-processes.md.
"""
