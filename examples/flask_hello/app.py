"""Log in, say hello, log out. A user who logs in on one copy of the program is known on all."""

import os

from flask import Flask, jsonify, request

from clusterpass import ClusterPassError, Config, KeyRing, SessionManager, UserDirectory

app = Flask(__name__)
config = Config(issuer="https://hello.example", keys=KeyRing.load(os.environ["KEYS_FILE"]))
sessions = SessionManager.from_url(os.environ["STORE_URL"], config)
users = UserDirectory(sessions)


def bearer_token():
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


@app.errorhandler(ClusterPassError)
def refuse(error):
    return jsonify(error=error.code, reason=error.reason, message=error.message), error.status


@app.post("/login")
def login():
    name, password = request.json["username"], request.json["password"]
    pair = users.login(name, password, device=request.json.get("device"))
    return jsonify(access_token=pair.access_token, refresh_token=pair.refresh_token)


@app.get("/hello")
def hello():
    return f"Hello, {sessions.verify(bearer_token()).subject}!\n"


@app.post("/logout")
def logout():
    sessions.logout(bearer_token())
    return "Bye!\n"
