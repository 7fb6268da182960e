#!/bin/sh
# Commits the site of this release to the branch gh-pages, beside those of other releases. What is
# there of the same minor release is replaced. `make docs-release` runs it; nothing is pushed.
set -eu
version=$(python -c 'import clusterpass; print(".".join(clusterpass.__version__.split(".")[:2]))')
mike deploy --update-aliases "$version" latest
mike set-default latest
