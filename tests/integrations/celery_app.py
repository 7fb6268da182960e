"""A Celery application on folders of this machine, which `celery worker` can import."""

import os
from pathlib import Path

from celery import Celery, Task, signals

from clusterpass.integrations.celery import ClusterPass, current_session, session_required


class Noting(Task):
    """A base class of the application's own, which calls what it overrides."""

    def __call__(self, *args, **kwargs):
        return ["noted", super().__call__(*args, **kwargs)]


def make_app(folder: Path, redis: str = "") -> Celery:
    """``redis``: the URL of a server for the broker and the results; empty: ``folder`` is both."""
    for name in ("queue", "processed", "results"):
        (folder / name).mkdir(exist_ok=True)
    broker, backend = redis or "filesystem://", redis or f"file://{folder}/results"
    app = Celery("jobs", broker=broker, backend=backend)
    if not redis:
        app.conf.broker_transport_options = {
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "processed_folder": str(folder / "processed"),
            "control_folder": str(folder),
            "polling_interval": 0.05,
        }
    app.conf.update(
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )

    @app.task(shared=False, name="who", base=session_required())
    def who():
        session = current_session()
        return [session.subject, dict(session.claims), os.getpid()]

    @app.task(
        shared=False,
        name="build",
        bind=True,
        base=session_required(scope="reports:write"),
        autoretry_for=(Exception,),
        retry_kwargs={"countdown": 0},
    )
    def build(self, month):
        if not self.request.retries:
            raise LookupError
        return [month, self.request.id, self.request.retries]

    @app.task(shared=False, name="noted", base=session_required(base=Noting))
    def noted():
        return current_session().subject

    @app.task(shared=False, name="strong", base=session_required(level="2", max_auth_age=60))
    def strong():
        return True

    @app.task(shared=False, name="joined", base=session_required())
    def joined(parts):
        return [current_session().subject, [subject for subject, *_ in parts]]

    @app.task(shared=False, name="outer", base=session_required())
    def outer():
        return who.delay().id

    @app.task(shared=False, name="patient", base=session_required(), max_retries=None)
    def patient():
        return current_session().subject

    @app.task(shared=False, name="hasty", base=session_required(), max_retries=0)
    def hasty():
        raise AssertionError

    return app


if "JOBS_FOLDER" in os.environ:
    _folder = Path(os.environ["JOBS_FOLDER"])
    app = make_app(_folder)
    cp = ClusterPass(app)

    @signals.worker_process_init.connect
    def _note_start(**_):
        is_open = cp._jobs._opened is not None
        (_folder / f"started-{os.getpid()}").write_text(str(is_open))

    @signals.worker_process_shutdown.connect
    @signals.worker_shutdown.connect
    def _note_end(**_):
        is_open = cp._jobs._opened is not None
        (_folder / f"ended-{os.getpid()}").write_text(str(is_open))
