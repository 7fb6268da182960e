"""Flask with PyJWT and Redis Cluster, which accepts only the token that is stored for a user."""

import os
import time

import jwt
import redis
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
secret = os.environ["SECRET"]
host, port = os.environ["CLUSTER_NODE"].split(":")
tokens = redis.RedisCluster(host=host, port=int(port), decode_responses=True)


@app.post("/login")
def login() -> Response:
    """A token, stored under the name of its user."""
    payload = {"sub": "alice", "exp": int(time.time()) + 3600}
    token = jwt.encode(payload, secret, algorithm="HS256")
    tokens.set("alice", token)
    return jsonify(access_token=token)


@app.get("/verify")
def verify() -> tuple[Response, int]:
    """The user whom the token belongs to."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        subject = jwt.decode(token, secret, algorithms=["HS256"])["sub"]
    except jwt.InvalidTokenError:
        return jsonify(error="invalid"), 401
    if tokens.get(subject) != token:
        return jsonify(error="revoked"), 401
    return jsonify(subject=subject), 200
