"""A shop in aiohttp: a phone, a browser and an administrator; roles, scopes, devices."""

from html import escape

from aiohttp import web

from clusterpass.integrations.aiohttp import ClusterPass, current_session, session_required

USERS = {  # an application has a table of users, with hashes of their passwords, here
    "root": {"password": "pw", "roles": ["admin"], "scope": "orders:* admin"},
    "alice": {"password": "pw", "roles": ["editor"], "scope": "orders:read editor"},
    "bob": {"password": "pw", "roles": [], "scope": ""},
}
LOGIN_PAGE = """<form method=post action=/login>
<input name=username><input name=password type=password>
<input type=hidden name=next value="{next}"><button>Log in</button></form>"""
PAGE = """Hello <b id=who>{name}</b>
<form method=post action=/logout><input type=hidden name=csrf_token value="{csrf_token}">
<button>Log out</button></form>"""
cp = ClusterPass.from_env(login_url="/login", cookie_secure=False)  # on localhost
routes = web.RouteTableDef()


@routes.get("/login")
async def login_page(request):
    text = LOGIN_PAGE.format(next=escape(request.query.get("next", "/page")))
    return web.Response(text=text, content_type="text/html")


@routes.post("/login")
async def log_in(request):
    form = await request.post() or await request.json()
    name, password = form["username"], form["password"]
    await cp.count_attempt(request, name)
    user = USERS.get(name)
    if user is None or user["password"] != password:
        await cp.login_failed(request, name)
        raise web.HTTPUnauthorized
    claims = {"roles": user["roles"], "scope": user["scope"]}
    return await cp.log_in(
        request, name, device=form.get("device"), claims=claims, target=form.get("next")
    )


@routes.get("/page")
@session_required()
async def page(request):
    name = escape(current_session(request).subject)
    text = PAGE.format(name=name, csrf_token=cp.csrf_token(request))
    return web.Response(text=text, content_type="text/html")


@routes.get("/me")
@session_required()
async def me(request):
    session = current_session(request)
    return web.json_response({"name": session.subject, "roles": session.claims["roles"]})


@routes.get("/edit")
@session_required(scope="editor")
async def edit(request):
    return web.Response(text="edited")


@routes.post("/orders")
@session_required(scope="orders:write")
async def order(request):
    return web.Response(text="ordered")


@routes.post("/admin/kick/{name}")
@session_required(scope="admin", strict=True)
async def kick(request):
    name = request.match_info["name"]
    if name not in USERS:
        raise web.HTTPNotFound
    return web.json_response({"ended": (await cp.sessions.revoke_all(name)).count})


app = web.Application()
cp.install(app)
app.add_routes(routes)
app.add_routes(cp.routes())  # /refresh, /logout, /logout-all, /devices

if __name__ == "__main__":
    web.run_app(app)
