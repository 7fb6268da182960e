"""A campaign of faults against a real cluster, recorded and judged afterwards.

``python -m tests.campaign --seconds 120 --seed 7``: processes with managers of both kinds log in,
verify, refresh, revoke and ban while nodes and processes are killed, stopped, replaced and slots
move. Every operation is recorded with its begin and its end; a checker reads all of it afterwards.
"""
