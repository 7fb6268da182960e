"""A report that a worker makes for a session, unless that session is revoked meanwhile.

Run both in this folder, in any order:

export CLUSTERPASS_STORE_URL='embedded://?data=sessions'
celery --app tasks worker
python enqueue.py
"""

from pathlib import Path

from celery import Celery

from clusterpass.integrations.celery import ClusterPass, current_session, session_required

folder = Path("jobs").resolve()
folder.mkdir(exist_ok=True)
app = Celery("jobs", broker="filesystem://", backend=f"file://{folder}")  # your broker here
app.conf.broker_transport_options = dict.fromkeys(
    ("data_folder_in", "data_folder_out", "control_folder"), str(folder)
)
cp = ClusterPass(app)


@app.task(base=session_required(scope="reports:write"))
def build_report(month: str) -> str:
    return f"{month} for {current_session().subject}"
