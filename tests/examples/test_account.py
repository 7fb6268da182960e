"""The account program in this process: Flask's own client, the real cluster."""

import runpy
from pathlib import Path

import pytest

from clusterpass.cli.local_setup import write_keys

PROGRAM = Path(__file__).parents[2] / "examples" / "flask_account" / "app.py"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def program(cluster_url, tmp_path_factory):
    keys_file = tmp_path_factory.mktemp("account") / "keys.json"
    write_keys(keys_file)
    with pytest.MonkeyPatch.context() as patch:
        # All tests log in from one address, and it is throttled.
        patch.setenv("STORE_URL", f"{cluster_url}?namespace=examples")
        patch.setenv("KEYS_FILE", str(keys_file))
        patch.setenv("RECENT", "2")
        names = runpy.run_path(str(PROGRAM))
    yield names
    names["sessions"].close()


@pytest.fixture
def client(program, subject):
    program["users"].add(subject, PASSWORD)
    return program["app"].test_client()


@pytest.fixture
def login(client, subject):
    def made(**more):
        return client.post("/login", json={"username": subject, "password": PASSWORD, **more})

    return made


def bearer(answer):
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def test_my_devices_and_all_others_out(client, login):
    phone = login(device="phone")
    laptop = login(device="laptop", remember=True)
    listed = client.get("/devices", headers=bearer(laptop))
    assert [each["device"] for each in listed.json] == ["laptop", "phone"]
    assert client.delete("/devices", headers=bearer(laptop)).json == {"ended": 1}
    refused = client.get("/devices", headers=bearer(phone))
    assert (refused.status_code, refused.json["reason"]) == (401, "revoked")


def test_the_fourth_device_is_chosen_by_the_user(client, login):
    for name in ("one", "two", "three"):
        login(device=name)
    refused = login(device="four")
    assert (refused.status_code, refused.json["error"]) == (409, "too_many_sessions")
    oldest = refused.json["sessions"][-1]
    assert oldest["device"] == "one"
    again = login(device="four", replace=oldest["id"])
    listed = client.get("/devices", headers=bearer(again))
    assert [each["device"] for each in listed.json] == ["four", "three", "two"]


def test_a_payment_wants_a_recent_password(client, login, program, subject):
    pair = login()
    session = program["sessions"].verify(pair.json["access_token"])
    assert client.post("/payments", headers=bearer(pair)).json == {"paid": True}
    # Until two seconds have passed on the store's clock.
    while client.post("/payments", headers=bearer(pair)).status_code == 200:
        pass
    refused = client.post("/payments", headers=bearer(pair))
    assert refused.status_code == 401
    assert "insufficient_user_authentication" in refused.headers["WWW-Authenticate"]
    wrong = client.post("/confirm", json={"password": "wrong"}, headers=bearer(pair))
    assert (wrong.status_code, wrong.json["error"]) == (401, "invalid_credentials")
    confirmed = client.post("/confirm", json={"password": PASSWORD}, headers=bearer(pair))
    now = program["sessions"].verify(confirmed.json["access_token"])
    assert now.session_id == session.session_id
    assert now.auth_time > session.auth_time
    newer = program["sessions"].refresh(confirmed.json["refresh_token"])
    assert program["sessions"].verify(newer.access_token).auth_time == now.auth_time
    assert client.post("/payments", headers=bearer(pair)).status_code == 401, "an older token"
    program["sessions"].bans.add(subject, scope="payments", reason="chargeback")
    refused = client.post("/payments", headers=bearer(confirmed))
    assert (refused.status_code, refused.json["error"]) == (403, "subject_banned")


def test_a_role_comes_without_a_new_login(client, login, program, subject):
    pair = login()
    refused = client.get("/reports", headers=bearer(pair))
    assert (refused.status_code, refused.json["error"]) == (403, "scope_missing")
    program["sessions"].claims.set(subject, {"scope": "reports:*"})
    assert client.get("/reports", headers=bearer(pair)).status_code == 200
