"""Errors, values, policies, scopes and clocks: the vocabulary that every other package imports.

This package imports nothing from the rest of ClusterPass but ``clusterpass.limits``.
"""
