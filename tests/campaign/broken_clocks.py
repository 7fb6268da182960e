"""A broken build that trusts the clocks of the servers.

:mod:`.broken` explains what a broken build is.
"""

from importlib.resources import files

from clusterpass.protocol.script import load_script

from .rewriting import rewrite

_JUDGED = "if called == 0 or math.abs(ahead) <= most then"


def server_clocks_are_trusted() -> None:
    """Scripts take the time of their server as it is, however far it is off."""
    for script in sorted((files("clusterpass.protocol") / "scripts").iterdir(), key=str):
        name = script.name.removesuffix(".lua")
        if name != script.name and _JUDGED.encode() in load_script(name).source:
            rewrite(name, _JUDGED, "if true then")
