"""The calls of the infrastructure: health checks, and the public keys of the access tokens."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from clusterpass import StoreUnavailable
from clusterpass.service.api.dependencies import CurrentService
from clusterpass.service.api.openapi import problems
from clusterpass.service.bodies import responses

router: Final = APIRouter()


@router.get("/.well-known/jwks.json", tags=["keys"], responses=problems(503))
async def jwks(service: CurrentService) -> JSONResponse:
    """Return the public keys that verify access tokens (RFC 7517); an empty set for HS256."""
    if not service.jwks["keys"] and service.settings.managed_keys:
        raise StoreUnavailable("The keys in the store are not known yet", reason="unconfirmed")
    return JSONResponse(service.jwks, headers={"Cache-Control": "public, max-age=300"})


@router.get("/healthz", tags=["health"])
async def healthz() -> responses.StateResponse:
    """Report that this process responds (liveness)."""
    return responses.StateResponse()


@router.get("/readyz", tags=["health"], responses=problems(503))
async def readyz(service: CurrentService) -> responses.StateResponse:
    """Report that the session store responds too (readiness)."""
    await service.sessions.ping()
    return responses.StateResponse()
