"""A shop in Quart: a phone, a browser and an administrator; roles, scopes, devices."""

from quart import Quart, abort, redirect, render_template_string, request

from clusterpass.integrations.quart import (
    ClusterPass,
    current_session,
    current_user,
    session_required,
)

USERS = {  # an application has a table of users, with hashes of their passwords, here
    "root": {"password": "pw", "roles": ["admin"], "scope": "orders:* admin"},
    "alice": {"password": "pw", "roles": ["editor"], "scope": "orders:read editor"},
    "bob": {"password": "pw", "roles": [], "scope": ""},
}
LOGIN_PAGE = """<form method=post action=/login>
<input name=username><input name=password type=password>
<input type=hidden name=next value="{{ request.args.next or '/page' }}">
<button>Log in</button></form>"""
PAGE = """Hello <b id=who>{{ current_user.name }}</b>
<form method=post action=/logout><input type=hidden name=csrf_token value="{{ csrf_token() }}">
<button>Log out</button></form>"""

app = Quart(__name__)
app.config.update(CLUSTERPASS_LOGIN_URL="/login", CLUSTERPASS_COOKIE_SECURE=False)  # on localhost
cp = ClusterPass(app)
app.register_blueprint(cp.blueprint())  # /refresh, /logout, /logout-all, /devices


@cp.user_loader
async def load_user(session):
    return {"name": session.subject, **USERS[session.subject]}


@app.get("/login")
async def login_page():
    return await render_template_string(LOGIN_PAGE)


@app.post("/login")
async def log_in():
    form = await request.form or await request.get_json()
    name, password = form["username"], form["password"]
    await cp.count_attempt(name)
    user = USERS.get(name)
    if user is None or user["password"] != password:
        await cp.login_failed(name)
        abort(401)
    claims = {"roles": user["roles"], "scope": user["scope"]}
    return await cp.log_in(name, device=form.get("device"), claims=claims, target=form.get("next"))


@app.get("/page")
@session_required()
async def page():
    return await render_template_string(PAGE)


@app.get("/")
async def home():
    return redirect("/page")


@app.get("/me")
@session_required()
async def me():
    return {"name": current_user["name"], "roles": current_session.claims["roles"]}


@app.get("/edit")
@session_required(scope="editor")
async def edit():
    return "edited"


@app.post("/orders")
@session_required(scope="orders:write")
async def order():
    return "ordered"


@app.post("/admin/kick/<name>")
@session_required(scope="admin", strict=True)
async def kick(name):
    if name not in USERS:
        abort(404)
    return {"ended": (await cp.sessions.revoke_all(name)).count}
