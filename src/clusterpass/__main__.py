"""``python -m clusterpass``: the same as the command ``clusterpass``."""

from clusterpass.cli import main

main()
