"""Scripts of the library with another text, within one process."""

import hashlib
from typing import Any

from clusterpass.protocol.script import load_script


def rewrite(script: str, text: str, instead: str) -> None:
    """Change the text of a script; it has to be there."""
    loaded: Any = load_script(script)
    source = loaded.source.decode()
    assert text in source, f"{script} has no {text}"
    changed = source.replace(text, instead).encode()
    object.__setattr__(loaded, "source", changed)
    digest = hashlib.sha1(changed, usedforsecurity=False).hexdigest()
    object.__setattr__(loaded, "sha1", digest.encode())
