"""GET /admin/audit: lists the audit trail, for those who may use the other /admin calls."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from clusterpass.service.api.administration import Administrator
from clusterpass.service.api.dependencies import CurrentService, unrepeated
from clusterpass.service.api.openapi import BEARER_ONLY, problems
from clusterpass.service.bodies.audit import AuditQuery, AuditResponse

router: Final = APIRouter(prefix="/admin", tags=["administration"])


@router.get(
    "/audit",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=[Depends(unrepeated())],
)
async def audit(
    service: CurrentService, _: Administrator, query: Annotated[AuditQuery, Query()]
) -> AuditResponse:
    """List entries of the audit trail, the oldest first; `next_cursor` goes on in the same
    direction. Without `after` the latest entries are listed."""
    before = query.before
    if query.after is None and before is None:
        before = ""
    page = await service.sessions.audit.page(after=query.after, before=before, limit=query.limit)
    return AuditResponse.of(page)
