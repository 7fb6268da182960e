"""Enqueues reports from a laptop and from a phone that is lost; tasks.py says how to run this."""

from tasks import build_report, cp

from clusterpass.integrations.celery import for_session

REPORTS = {"scope": "reports:write"}
laptop = cp.sessions.login("alice", device="laptop", claims=REPORTS)
phone = cp.sessions.login("alice", device="phone", claims=REPORTS)
kept = build_report.apply_async(("May",), headers=for_session(laptop))
stopped = build_report.apply_async(("June",), headers=for_session(phone), countdown=5)
cp.sessions.revoke("alice", phone.session_id, reason="lost")
print("The phone is lost. Waiting for a worker ...", flush=True)
for job in (kept, stopped):
    outcome = job.get(timeout=60, propagate=False)
    print(job.state, outcome, flush=True)
cp.close()
