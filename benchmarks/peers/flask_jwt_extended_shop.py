"""The shop of examples/flask_shop on Flask-JWT-Extended, with its sessions in a table."""

import os
import secrets
from functools import wraps

from flask import Flask, abort, jsonify, redirect, render_template_string, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    current_user,
    get_jwt,
    jwt_required,
    set_access_cookies,
    set_refresh_cookies,
    unset_jwt_cookies,
)
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash

PASSWORD = generate_password_hash("pw", "pbkdf2:sha256:1000")
USERS = {  # an application has a table of users here
    "root": {"password": PASSWORD, "roles": ["admin"], "scope": "orders:* admin"},
    "alice": {"password": PASSWORD, "roles": ["editor"], "scope": "orders:read editor"},
    "bob": {"password": PASSWORD, "roles": [], "scope": ""},
}
LOGIN_PAGE = """<form method=post action=/login>
<input name=username><input name=password type=password>
<input type=hidden name=next value="{{ request.args.next or '/page' }}">
<button>Log in</button></form>"""
PAGE = """Hello <b id=who>{{ current_user.name }}</b>
<form method=post action=/logout><input type=hidden name=csrf_token value="{{ csrf_token }}">
<button>Log out</button></form>"""

app = Flask(__name__)
app.config.update(
    SQLALCHEMY_DATABASE_URI=os.environ["DATABASE_URL"],
    SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 1}},
    JWT_SECRET_KEY=os.environ["SECRET"],
    JWT_TOKEN_LOCATION=["headers", "cookies", "json"],
    JWT_COOKIE_SECURE=False,  # on localhost
    JWT_COOKIE_SAMESITE="Lax",
    JWT_CSRF_CHECK_FORM=True,
)
db = SQLAlchemy(app)
jwt = JWTManager(app, add_context_processor=True)


class LoginSession(db.Model):
    id = db.Column(db.String(32), primary_key=True)
    name = db.Column(db.String(50), index=True)
    device = db.Column(db.String(128))
    ended = db.Column(db.Boolean, default=False)


with app.app_context():
    db.create_all()


@jwt.user_lookup_loader
def load_user(_header, payload):
    return {"name": payload["sub"], **USERS[payload["sub"]]}


@jwt.token_in_blocklist_loader
def has_ended(_header, payload):
    row = db.session.get(LoginSession, payload["sid"])
    return row is None or row.ended


@jwt.unauthorized_loader
def missing(message):
    if "text/html" in request.headers.get("Accept", ""):
        return redirect(f"/login?next={request.path}")
    return jsonify(msg=message), 401


def hand_out(name, sid, new=False, target=None):
    user = USERS[name]
    claims = {"sid": sid, "roles": user["roles"], "scope": user["scope"]}
    tokens = {"access_token": create_access_token(name, fresh=new, additional_claims=claims)}
    if new:
        tokens["refresh_token"] = create_refresh_token(name, additional_claims={"sid": sid})
    if target is None and "Sec-Fetch-Site" not in request.headers:
        return {**tokens, "session_id": sid}
    response = redirect(target) if target else jsonify(session_id=sid)
    set_access_cookies(response, tokens["access_token"])
    if new:
        set_refresh_cookies(response, tokens["refresh_token"])
    return response


def session_required(role=None, scope=None):
    def decorate(view):
        @wraps(view)
        @jwt_required()
        def wrapped(*args, **kwargs):
            claims = get_jwt()
            if role and role not in claims["roles"]:
                abort(403)
            if scope and scope not in claims["scope"].split():
                abort(403)
            return view(*args, **kwargs)

        return wrapped

    return decorate


def end(**which):
    count = LoginSession.query.filter_by(ended=False, **which).update({"ended": True})
    db.session.commit()
    return {"ended": count}


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    return hand_out(current_user["name"], get_jwt()["sid"])


@app.post("/logout")
@jwt_required()
def log_out():
    end(id=get_jwt()["sid"])
    response = app.response_class(status=204)
    unset_jwt_cookies(response)
    return response


@app.post("/logout-all")
@jwt_required()
def log_out_everywhere():
    return end(name=current_user["name"])


@app.get("/devices")
@jwt_required()
def devices():
    rows = LoginSession.query.filter_by(name=current_user["name"], ended=False)
    current = get_jwt()["sid"]
    return [{"id": row.id, "device": row.device, "current": row.id == current} for row in rows]


@app.delete("/devices/<session_id>")
@jwt_required()
def end_device(session_id):
    return end(id=session_id, name=current_user["name"])


@app.get("/login")
def login_page():
    return render_template_string(LOGIN_PAGE)


@app.post("/login")
def log_in():
    form = request.form or request.get_json()
    user = USERS.get(form["username"])
    if user is None or not check_password_hash(user["password"], form["password"]):
        abort(401)
    device = form.get("device") or request.user_agent.string[:128]
    row = LoginSession(id=secrets.token_hex(16), name=form["username"], device=device)
    db.session.add(row)
    db.session.commit()
    return hand_out(form["username"], row.id, new=True, target=form.get("next"))


@app.get("/page")
@session_required()
def page():
    return render_template_string(PAGE, csrf_token=get_jwt().get("csrf"))


@app.get("/")
def home():
    return redirect("/page")


@app.get("/me")
@session_required()
def me():
    return {"name": current_user["name"], "roles": get_jwt()["roles"]}


@app.get("/edit")
@session_required(scope="editor")
def edit():
    return "edited"


@app.post("/orders")
@session_required(scope="orders:write")
def order():
    return "ordered"


@app.post("/admin/kick/<name>")
@session_required(role="admin")
def kick(name):
    if name not in USERS:
        abort(404)
    return end(name=name)
