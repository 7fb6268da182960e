"""A shop in FastAPI: a phone, a browser and an administrator; roles, scopes, devices."""

from typing import Annotated

from fastapi import FastAPI, HTTPException, Security

from clusterpass import Session
from clusterpass.integrations.fastapi import ClusterPass

USERS = {  # an application has a table of users, with hashes of their passwords, here
    "root": {"password": "pw", "roles": ["admin"], "scope": "orders:* admin"},
    "alice": {"password": "pw", "roles": ["editor"], "scope": "orders:read editor"},
    "bob": {"password": "pw", "roles": [], "scope": ""},
}
cp = ClusterPass.from_env(token_url="token", cookie_secure=False)  # on localhost
app = FastAPI(lifespan=cp.lifespan)
cp.install(app)


def check(username: str, password: str):
    user = USERS.get(username)
    if user is None or user["password"] != password:
        return None
    return {"subject": username, "claims": {"roles": user["roles"], "scope": user["scope"]}}


app.include_router(cp.router(authenticate=check))  # /login, /refresh, /logout, /devices, ...
Current = Annotated[Session, Security(cp.session)]
Editor = Annotated[Session, Security(cp.session, scopes=["editor"])]
Buyer = Annotated[Session, Security(cp.session, scopes=["orders:write"])]
Administrator = Annotated[Session, Security(cp.session_with(strict=True), scopes=["admin"])]


@app.get("/me")
async def me(session: Current):
    return {"name": session.subject, "roles": session.claims["roles"]}


@app.get("/edit")
async def edit(session: Editor):
    return "edited"


@app.post("/orders")
async def order(session: Buyer):
    return "ordered"


@app.post("/admin/kick/{name}")
async def kick(name: str, session: Administrator):
    if name not in USERS:
        raise HTTPException(404)
    return {"ended": (await cp.sessions.revoke_all(name)).count}
