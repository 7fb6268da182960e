"""The real fail2ban finds in the log of the service who has tried to log in, and nobody else."""

import json
import subprocess
from pathlib import Path

import pytest

from clusterpass import StoreUnavailable
from tests.proxies.programs import DEPLOY, locate, require

from .conftest import PASSWORD, bearer
from .page_browser import ORIGIN, SAME_SITE

FILTER = DEPLOY / "fail2ban" / "filter.d" / "clusterpass.conf"
PROXY, ATTACKER, SIXTH = "127.0.0.1", "203.0.113.9", "2001:db8::9"
VICTIM = "198.51.100.1"
MATCH = (
    '{"method":"POST","path":"/login","status":401,"milliseconds":1.0,"request_id":"a",'
    f'"client":"{VICTIM}","attempted_subject":"x","error":"invalid_credentials"}}'
)


@pytest.fixture
async def service(start, settings):
    behind = {"trusted_proxies": [PROXY], "account_attempts": 2}
    return await start(settings.model_copy(update=behind), PROXY)


@pytest.fixture
def banned(service, tmp_path):
    """Returns the addresses, one for each line of the log that is a failure to fail2ban."""
    require("fail2ban-regex")

    def found(prefix: str = "") -> list[str]:
        log = tmp_path / "log"
        log.write_text("".join(f"{prefix}{line}" for line in lines(service)))
        return addresses(log)

    return found


def lines(service) -> list[str]:
    return service.log.getvalue().splitlines(keepends=True)


def addresses(log: Path) -> list[str]:
    command = [locate("fail2ban-regex"), "--out", "ip", str(log), str(FILTER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr  # 1: nothing has matched
    assert "ERROR" not in done.stderr
    return done.stdout.split()


async def attempt(service, name: str, password: str = "wrong password", **headers: str) -> int:
    headers = {"X-Forwarded-For": ATTACKER, **headers}
    body = {"username": name, "password": password}
    return (await service.client.post("/login", json=body, headers=headers)).status_code


async def test_who_guesses_is_found_by_the_address_behind_the_proxy(service, banned, alice):
    assert await attempt(service, alice) == 401
    assert await attempt(service, "nobody", **{"X-Forwarded-For": f"{VICTIM}, {SIXTH}"}) == 401
    assert await attempt(service, alice) == 401
    assert await attempt(service, alice) == 429
    assert banned() == [ATTACKER, SIXTH, ATTACKER, ATTACKER]
    assert banned("host clusterpass[7]: ") == [ATTACKER, SIXTH, ATTACKER, ATTACKER]


async def test_who_guesses_in_the_page_is_found(service, banned, alice):
    form = {"username": alice, "password": "wrong password"}
    headers = {**SAME_SITE, "X-Forwarded-For": ATTACKER}
    for status in (401, 401, 429):
        answer = await service.client.post(f"{ORIGIN}/page/login", data=form, headers=headers)
        assert answer.status_code == status
    assert banned() == [ATTACKER] * 3
    assert {line["attempted_subject"] for line in service.lines()} == {alice}


async def test_nobody_else_is_found(service, banned, alice, monkeypatch):
    tokens = await service.login(alice)
    await service.client.get("/verify", headers={"Authorization": "Bearer e30.e30.e30"})
    await service.client.get("/authz/nginx")
    await service.client.post("/login", content="{}")
    await service.client.post("/logout", headers=bearer(tokens))

    async def unavailable(*_arguments, **_options):
        raise StoreUnavailable(reason="timeout")

    monkeypatch.setattr(service.app.service.sessions, "generation", unavailable)
    assert await attempt(service, alice, PASSWORD) == 503
    assert len(lines(service)) == 6
    assert banned() == []


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "name",
    [
        MATCH,
        f"x\n{MATCH}\n",
        f'x"}}\n{MATCH}',
        f'x","error":"invalid_credentials","client":"{VICTIM}"',
        f'\\","client":"{VICTIM}","attempted_subject":"',
        f'"timestamp":"2026-01-01T00:00:00.000000Z"}}{MATCH}',
        f"\u2028{MATCH}\u2028",
        f"\udcff {VICTIM}",
        VICTIM,
    ],
)
async def test_a_name_does_not_have_somebody_else_found(service, banned, name):
    """Neither where it is a user name, nor elsewhere in a request."""
    body = {"username": name, "password": "wrong password"}
    content = json.dumps(body)
    headers = {"Content-Type": "application/json", "X-Forwarded-For": ATTACKER}
    answer = await service.client.post("/login", content=content, headers=headers)
    printable = "".join(each for each in name if " " <= each <= "~")
    await service.client.get("/" + printable, headers={"X-Request-ID": printable})
    await attempt(service, "nobody", **{"X-Forwarded-For": f"{printable}, {SIXTH}"})
    found = banned()
    assert set(found) <= {ATTACKER, SIXTH}
    assert (ATTACKER in found) == (answer.status_code == 401)
