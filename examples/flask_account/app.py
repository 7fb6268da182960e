"""An account page in Flask: list of devices, logout elsewhere, step-up, roles that change."""

import os

from flask import Flask, jsonify, request

from clusterpass import (
    ClusterPassError,
    Config,
    KeyRing,
    ScopeMissing,
    SessionManager,
    SessionPolicy,
    StepUpRequired,
    TooManySessions,
    UserDirectory,
)

RECENT = int(os.environ.get("RECENT", "300"))  # seconds that a password counts as just given

app = Flask(__name__)
config = Config(
    issuer="https://account.example",
    keys=KeyRing.load(os.environ["KEYS_FILE"]),
    policy=SessionPolicy(max_sessions=3, overflow="refuse"),
)
sessions = SessionManager.from_url(os.environ["STORE_URL"], config)
users = UserDirectory(sessions)


@sessions.on("reused")
def alarm(event):
    app.logger.warning("%s: a used refresh token came back (%s)", event.subject, event.reason)


def current(**required):
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return sessions.verify(token, **required)


def describe(session):
    return {"id": session.session_id, "device": session.device, "active_at": session.active_at}


@app.errorhandler(ClusterPassError)
def refuse(error):
    body = {"error": error.code, "reason": error.reason, "message": error.message}
    if isinstance(error, TooManySessions):
        body["sessions"] = [describe(each) for each in error.sessions]
    answer = jsonify(body)
    if isinstance(error, StepUpRequired | ScopeMissing):
        answer.headers["WWW-Authenticate"] = error.challenge
    return answer, error.status


@app.post("/login")
def login():
    form = request.json
    pair = users.login(
        form["username"],
        form["password"],
        device=form.get("device"),
        replace=form.get("replace"),  # the session that goes when there are too many
        remember=form.get("remember", False),
        address=request.remote_addr,
    )
    return jsonify(access_token=pair.access_token, refresh_token=pair.refresh_token)


@app.get("/devices")
def devices():
    return jsonify([describe(each) for each in sessions.sessions(current().subject)])


@app.delete("/devices")
def end_others():
    session = current()
    return jsonify(ended=sessions.revoke_all(session.subject, keep=session.session_id).count)


@app.post("/confirm")
def confirm():
    session = current()
    users.authenticate(session.subject, request.json["password"], address=request.remote_addr)
    pair = sessions.elevate(session, session.acr, for_seconds=RECENT, amr=["pwd"])
    return jsonify(access_token=pair.access_token, refresh_token=pair.refresh_token)


@app.post("/payments")
def pay():
    session = current(max_auth_age=RECENT)
    session.require_not_banned("payments")
    return jsonify(paid=True)


@app.get("/reports")
def reports():
    current().require_scope("reports:read")
    return jsonify(reports=[])
