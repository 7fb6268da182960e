"""``clusterpass demo``: crash a server and a database node, and show that nobody is logged out.

- ``command``: the command; it starts the cluster and two servers, and prints each step.
- ``scenario``: the steps themselves; each sends a request and compares the answer.
"""
