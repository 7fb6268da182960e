"""``clusterpass users``: names reach the terminal as the other commands print them."""

import json


def test_names_cannot_command_the_terminal(run):
    name, escaped = "al\u202eice", "al\\u202eice"
    password = "correct horse battery\n"
    added = run("users", "add", name, "--password-stdin", text_in=password)
    assert (added.returncode, added.stdout) == (0, f"added {escaped}\n")
    assert run("users", "list").stdout.startswith(f"{escaped}\tenabled\tsince ")
    assert run("users", "disable", name).stdout == f"disabled {escaped}, ended 0 sessions\n"
    assert run("users", "enable", name).stdout == f"enabled {escaped}\n"
    changed = run("users", "passwd", name, "--password-stdin", text_in=password)
    assert changed.stdout.startswith(f"changed the password of {escaped}, ended 0 sessions")
    assert [user["name"] for user in json.loads(run("users", "list", "--json").stdout)] == [name]
