"""Metrics of all workers of a service, at one address.

- ``worker_values``: the metrics of one worker. ``value_files``: the files in which workers tell
  each other, in the format of the multiprocess mode of prometheus-client.
- ``address``: the worker that listens, and its responses.

Every worker writes its values each second; nothing is written when a request is counted. The worker
that gets the address listens there, and answers with what the files of all workers say. When it
ends, another one takes its place within a second.
"""
