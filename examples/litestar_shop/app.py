"""A shop in Litestar: a phone, a browser and an administrator; roles, scopes, devices."""

from html import escape
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.params import FromPath

from clusterpass import Session
from clusterpass.integrations.litestar import ClusterPass, requires

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


@get("/login", media_type="text/html")
async def login_page(request: Request) -> str:
    return LOGIN_PAGE.format(next=escape(request.query_params.get("next", "/page")))


@post("/login")
async def log_in(request: Request) -> Any:
    form = await request.form() or await request.json()
    name, password = form["username"], form["password"]
    await cp.count_attempt(request, name)
    user = USERS.get(name)
    if user is None or user["password"] != password:
        await cp.login_failed(request, name)
        raise NotAuthorizedException
    claims = {"roles": user["roles"], "scope": user["scope"]}
    return await cp.log_in(
        request, name, device=form.get("device"), claims=claims, target=form.get("next")
    )


@get("/page", media_type="text/html")
async def page(request: Request, session: NamedDependency[Session]) -> str:
    return PAGE.format(name=escape(session.subject), csrf_token=cp.csrf_token(request))


@get("/me")
async def me(session: NamedDependency[Session]) -> dict[str, Any]:
    return {"name": session.subject, "roles": session.claims["roles"]}


@get("/edit", guards=[requires("editor")])
async def edit() -> str:
    return "edited"


@post("/orders", guards=[requires("orders:write")], status_code=200)
async def order() -> str:
    return "ordered"


@post("/admin/kick/{name:str}", guards=[requires("admin", strict=True)], status_code=200)
async def kick(name: FromPath[str]) -> dict[str, int]:
    if name not in USERS:
        raise NotFoundException
    return {"ended": (await cp.sessions.revoke_all(name)).count}


# The router has /refresh, /logout, /logout-all and /devices.
app = Litestar([login_page, log_in, page, me, edit, order, kick, cp.router()], plugins=[cp])
