"""fastapi-users with its Redis strategy; its users are in memory, faster than any database."""

import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import redis.asyncio
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, RedisStrategy
from fastapi_users.db import BaseUserDatabase


@dataclass
class User:
    """A user, as fastapi-users needs one."""

    id: uuid.UUID
    email: str
    hashed_password: str
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = True


ALICE = User(uuid.uuid4(), "alice@example.com", "")


class Users(BaseUserDatabase[User, uuid.UUID]):
    """A database of users in memory."""

    async def get(self, id: uuid.UUID) -> User | None:  # noqa: A002 (their name)
        """The user of that id."""
        return ALICE if id == ALICE.id else None


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """The manager of users, as fastapi-users documents it."""

    reset_password_token_secret = verification_token_secret = os.environ["SECRET"]


async def _manager() -> AsyncIterator[UserManager]:
    yield UserManager(Users())


def _strategy() -> "RedisStrategy[User, uuid.UUID]":
    return RedisStrategy(store, lifetime_seconds=3600)


store: Any = redis.asyncio.from_url(os.environ["REDIS_URL"], decode_responses=True)
backend = AuthenticationBackend(
    name="redis", transport=BearerTransport(tokenUrl="login"), get_strategy=_strategy
)
users = FastAPIUsers[User, uuid.UUID](_manager, [backend])
app = FastAPI()


@app.post("/login")
async def login() -> dict[str, str]:
    """Log in, and return a token."""
    return {"access_token": await _strategy().write_token(ALICE)}


@app.get("/verify")
async def verify(
    user: Annotated[User, Depends(users.current_user(active=True))],
) -> dict[str, str]:
    """Return whose the token is."""
    return {"subject": user.email}


@app.post("/logout")
async def logout(
    found: Annotated[tuple[User, str], Depends(users.authenticator.current_user_token())],
) -> dict[str, str]:
    """Revoke the token."""
    await _strategy().destroy_token(found[1], found[0])
    return {}
