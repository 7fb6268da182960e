"""The shop of examples/fastapi_shop on fastapi-users, with its tokens in a table."""

import hmac
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi_users import BaseUserManager, FastAPIUsers
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, CookieTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.db import BaseUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTable,
)
from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

USERS = {  # an application has a table of users, with hashes of their passwords, here
    "root": {"password": "pw", "roles": ["admin"], "scope": "orders:* admin"},
    "alice": {"password": "pw", "roles": ["editor"], "scope": "orders:read editor"},
    "bob": {"password": "pw", "roles": [], "scope": ""},
}


@dataclass
class User:
    id: str
    roles: list[str]
    scope: str
    is_active: bool = True
    is_verified: bool = True
    is_superuser: bool = False


def user_of(name):
    return User(name, USERS[name]["roles"], USERS[name]["scope"]) if name in USERS else None


class Users(BaseUserDatabase[User, str]):
    async def get(self, id):  # noqa: A002 (their name)
        return user_of(id)


engine = create_async_engine(os.environ["DATABASE_URL"], connect_args={"timeout": 1})
make_db = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class AccessToken(SQLAlchemyBaseAccessTokenTable[str], Base):
    user_id: Mapped[str] = mapped_column(index=True)
    public_id: Mapped[str] = mapped_column(default=lambda: secrets.token_hex(8))
    device: Mapped[str | None]
    csrf: Mapped[str] = mapped_column(default=lambda: secrets.token_hex(16))


async def get_db() -> AsyncIterator[AsyncSession]:
    async with make_db() as db:
        yield db


DB = Annotated[AsyncSession, Depends(get_db)]


class UserManager(BaseUserManager[User, str]):
    reset_password_token_secret = verification_token_secret = os.environ["SECRET"]

    def parse_id(self, value):
        return value


async def get_user_manager():
    yield UserManager(Users())


def get_strategy(db: DB) -> DatabaseStrategy:
    return DatabaseStrategy(
        SQLAlchemyAccessTokenDatabase(db, AccessToken), lifetime_seconds=7 * 86400
    )


bearer = AuthenticationBackend("bearer", BearerTransport("login"), get_strategy)
cookie = AuthenticationBackend("cookie", CookieTransport(cookie_secure=False), get_strategy)
users = FastAPIUsers[User, str](get_user_manager, [bearer, cookie])
current_token = users.authenticator.current_user_token(active=True)
Strategy = Annotated[DatabaseStrategy, Depends(get_strategy)]


async def current_user(request: Request, db: DB, found: Annotated[tuple, Depends(current_token)]):
    user, token = found
    if request.method != "GET" and "authorization" not in request.headers:
        row = await db.get(AccessToken, token)
        if not hmac.compare_digest(request.headers.get("x-csrf-token", ""), row.csrf):
            raise HTTPException(403)
    request.state.token = token
    return user


def requires(role: str = "", scope: str = ""):
    async def check(user: Annotated[User, Depends(current_user)]):
        if role and role not in user.roles:
            raise HTTPException(403)
        if scope and scope not in user.scope.split():
            raise HTTPException(403)
        return user

    return check


async def end(db, *which):
    result = await db.execute(delete(AccessToken).where(*which))
    await db.commit()
    return {"ended": result.rowcount}


Current = Annotated[User, Depends(current_user)]
Editor = Annotated[User, Depends(requires(scope="editor"))]
Buyer = Annotated[User, Depends(requires(scope="orders:write"))]
Administrator = Annotated[User, Depends(requires(role="admin"))]


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


class Login(BaseModel):
    username: str
    password: str
    device: str | None = None


@app.post("/login")
async def log_in(request: Request, form: Login, db: DB, strategy: Strategy):
    user = user_of(form.username)
    if user is None or USERS[user.id]["password"] != form.password:
        raise HTTPException(401)
    token = await strategy.write_token(user)
    row = await db.get(AccessToken, token)
    row.device = form.device or request.headers.get("user-agent")
    await db.commit()
    if "sec-fetch-site" not in request.headers:
        return {"access_token": token, "token_type": "bearer", "session_id": row.public_id}
    response = await cookie.transport.get_login_response(token)
    response.set_cookie("csrf", row.csrf, samesite="lax")
    return response


@app.post("/logout")
async def log_out(request: Request, user: Current, strategy: Strategy):
    return await cookie.logout(strategy, user, request.state.token)


@app.post("/logout-all")
async def log_out_everywhere(user: Current, db: DB):
    return await end(db, AccessToken.user_id == user.id)


@app.get("/devices")
async def devices(request: Request, user: Current, db: DB):
    rows = await db.scalars(select(AccessToken).where(AccessToken.user_id == user.id))
    current = request.state.token
    return [
        {"id": row.public_id, "device": row.device, "current": row.token == current} for row in rows
    ]


@app.delete("/devices/{session_id}")
async def end_device(session_id: str, user: Current, db: DB):
    return await end(db, AccessToken.user_id == user.id, AccessToken.public_id == session_id)


@app.get("/me")
async def me(user: Current):
    return {"name": user.id, "roles": user.roles}


@app.get("/edit")
async def edit(user: Editor):
    return "edited"


@app.post("/orders")
async def order(user: Buyer):
    return "ordered"


@app.post("/admin/kick/{name}")
async def kick(name: str, user: Administrator, db: DB):
    if name not in USERS:
        raise HTTPException(404)
    return await end(db, AccessToken.user_id == name)
