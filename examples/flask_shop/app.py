"""A shop in Flask: a phone, a browser and an administrator; roles, scopes, devices."""

from flask import Flask, abort, redirect, render_template_string, request
from werkzeug.security import check_password_hash, generate_password_hash

from clusterpass.integrations.flask import (
    ClusterPass,
    current_session,
    current_user,
    session_required,
)

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
<form method=post action=/logout><input type=hidden name=csrf_token value="{{ csrf_token() }}">
<button>Log out</button></form>"""

app = Flask(__name__)
app.config.from_prefixed_env()
app.config.update(CLUSTERPASS_LOGIN_URL="/login", CLUSTERPASS_COOKIE_SECURE=False)  # on localhost
cp = ClusterPass(app)
app.register_blueprint(cp.blueprint())  # /refresh, /logout, /logout-all, /devices


@cp.user_loader
def load_user(session):
    return {"name": session.subject, **USERS[session.subject]}


@app.get("/login")
def login_page():
    return render_template_string(LOGIN_PAGE)


@app.post("/login")
def log_in():
    form = request.form or request.get_json()
    name, password = form["username"], form["password"]
    cp.count_attempt(name)
    user = USERS.get(name)
    kept = user["password"] if user else PASSWORD  # who guesses names learns nothing by the time
    if not check_password_hash(kept, password) or user is None:
        cp.login_failed(name)
        abort(401)
    claims = {"roles": user["roles"], "scope": user["scope"]}
    return cp.log_in(name, device=form.get("device"), claims=claims, target=form.get("next"))


@app.get("/page")
@session_required()
def page():
    return render_template_string(PAGE)


@app.get("/")
def home():
    return redirect("/page")


@app.get("/me")
@session_required()
def me():
    return {"name": current_user["name"], "roles": current_session.claims["roles"]}


@app.get("/edit")
@session_required(scope="editor")
def edit():
    return "edited"


@app.post("/orders")
@session_required(scope="orders:write")
def order():
    return "ordered"


@app.post("/admin/kick/<name>")
@session_required(scope="admin", strict=True)
def kick(name):
    if name not in USERS:
        abort(404)
    return {"ended": cp.sessions.revoke_all(name).count}
