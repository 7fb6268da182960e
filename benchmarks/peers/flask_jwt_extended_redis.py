"""Flask-JWT-Extended with its documented blocklist in Redis."""

import os
from datetime import timedelta

import redis
from flask import Flask, Response, jsonify
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    get_jwt,
    get_jwt_identity,
    jwt_required,
)

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = os.environ["SECRET"]
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(hours=1)
jwt = JWTManager(app)
blocklist = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


@jwt.token_in_blocklist_loader
def is_revoked(_: dict[str, str], payload: dict[str, str]) -> bool:
    """Whether the token was put on the list."""
    return blocklist.get(payload["jti"]) is not None


@app.post("/login")
def login() -> Response:
    """A token."""
    return jsonify(access_token=create_access_token(identity="alice"))


@app.get("/verify")
@jwt_required()
def verify() -> Response:
    """The user whom the token belongs to."""
    return jsonify(subject=get_jwt_identity())


@app.post("/logout")
@jwt_required()
def logout() -> Response:
    """The end of the token, on the list for as long as it would be valid."""
    blocklist.set(get_jwt()["jti"], "", ex=app.config["JWT_ACCESS_TOKEN_EXPIRES"])
    return jsonify({})
