"""The session managers of Django at the end of the process: pending revocations are reported."""

import subprocess
import sys
from pathlib import Path

from clusterpass.cli.local_setup import write_keys

PROGRAM = """
import asyncio, sys
from django.conf import settings
settings.configure(CLUSTERPASS={
    "STORE_URL": "redis+cluster://127.0.0.1:1?deadline=0.6",
    "ISSUER": "https://site.example",
    "KEYS_FILE": sys.argv[1],
})
from clusterpass import RevocationPending
from clusterpass.integrations.django.conf import installed

async def revoke():
    try:
        await installed().async_sessions.revoke_all("bob", operation_id="bb" * 8)
    except RevocationPending:
        print("pending in the loop")

asyncio.run(revoke())
try:
    installed().sessions.revoke_all("alice", operation_id="aa" * 8)
except RevocationPending:
    print("pending in the thread")
"""


def test_both_managers_say_at_the_end_what_they_had_to_give_up(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys.json"
    write_keys(keys_file)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(keys_file)],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert done.stdout.split("\n") == ["pending in the loop", "pending in the thread", ""]
    of_loop, of_thread = done.stderr.splitlines()
    for line, operation in ((of_loop, "bb" * 8), (of_thread, "aa" * 8)):
        assert "closed while 1 revocations were pending" in line
        assert line.endswith(f"operation ids: {operation}")
