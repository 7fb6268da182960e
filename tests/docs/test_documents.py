"""Documents: their code runs, block after block; links lead somewhere; the reference is fresh."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/howto/aiohttp.md",
    "docs/howto/django.md",
    "docs/howto/fastapi.md",
    "docs/howto/flask.md",
    "docs/howto/grpc.md",
    "docs/howto/jobs.md",
    "docs/howto/litestar.md",
    "docs/howto/migrate.md",
    "docs/howto/migrate-django.md",
    "docs/howto/managed-services.md",
    "docs/howto/monitor.md",
    "docs/howto/quart.md",
    "docs/howto/tls.md",
    "docs/tutorial/first-steps.md",
    "docs/reference/audit.md",
    "docs/reference/doctor.md",
    "docs/reference/library.md",
    "docs/reference/sessions.md",
]
OWN_PROCESS = {"docs/howto/django.md", "docs/howto/migrate-django.md"}
"""Documents that configure the process they run in."""
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")


@pytest.mark.filterwarnings("ignore:No Config was given")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_code_of_a_document_runs(name, cluster_url):
    if name in OWN_PROCESS:
        code = f"from tests.docs.test_documents import run; run({name!r})"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    else:
        run(name)


def run(name: str) -> None:
    """Run the blocks of a document, one after the other."""
    text = (ROOT / name).read_text("utf-8")
    blocks = [(text[: match.start()].count("\n"), match[1]) for match in _BLOCK.finditer(text)]
    assert blocks
    module = sys.modules["document"] = ModuleType("document")
    for line, block in blocks:
        code = "\n" * (line + 1) + block
        exec(compile(code, str(ROOT / name), "exec"), module.__dict__)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=str
)
def test_the_links_of_a_document_lead_somewhere(path):
    for target in _LINK.findall(path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("page", ["settings.md", "cli.md", "doctor.md", "errors.md", "metrics.md"])
def test_the_reference_is_that_of_the_code(page):
    from tests.docs.reference import FOLDER, PAGES

    assert (FOLDER / page).read_text("utf-8") == PAGES[page](), (
        "run: python -m tests.docs.reference"
    )
