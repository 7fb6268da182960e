"""The site of docs/ is built strictly, and every link in it leads somewhere."""

import html.parser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import clusterpass
from tests.docs.errors_page import HELP, all_errors

ROOT = Path(__file__).parents[2]


def program(name: str) -> str:
    found = shutil.which(name, path=Path(sys.executable).parent)
    if found is None:
        if os.environ.get("REQUIRE_LINTERS"):
            pytest.fail(f"{name} is missing; `make test-setup` installs it")
        pytest.skip(f"{name} is not installed; make test-setup installs it")
    return found


def build(folder: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [
            program("mkdocs"),
            "build",
            "--strict",
            "--config-file",
            root / "mkdocs.yml",
            "--site-dir",
            folder,
        ],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.anchors |= {named[name] or "" for name in ("id", "name") if name in named}
        for name in ("href", "src"):
            if named.get(name):
                self.links.add(named[name] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_link_of_the_site_leads_somewhere(site):
    pages = {
        f"/{path.relative_to(site).as_posix()}": Page(path.read_text("utf-8"))
        for path in site.rglob("*.html")
        if path.name != "404.html"
    }
    assert len(pages) > 60
    broken = []
    for place, page in pages.items():
        for link in page.links:
            target = urlsplit(urljoin(f"http://here{place}", link))
            if target.netloc != "here":
                continue
            path = unquote(target.path)
            path += "index.html" if path.endswith("/") else ""
            if not (site / path[1:]).is_file() or (
                path in pages and unquote(target.fragment) not in pages[path].anchors
            ):
                broken.append((place, link))
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text("utf-8")
        for tag in ("<script", '<link rel="stylesheet"'):
            for piece in text.split(tag)[1:]:
                assert "//" not in piece.split(">")[0], path


def test_every_public_name_has_its_docstring(site):
    text = "".join(path.read_text("utf-8") for path in (site / "reference/api").rglob("*.html"))
    missing = [
        name
        for name, home in clusterpass._HOMES.items()
        if f'id="clusterpass.{home}.{name}"' not in text
    ]
    assert missing == []
    for verb in ("login", "verify", "refresh", "revoke_all", "logout"):
        assert f'id="clusterpass.managers.sync.manager.SessionManager.{verb}"' in text
    assert ":class:" not in text and ":meth:" not in text


def test_programs_find_the_pages_and_the_calls(site):
    document = json.loads((site / "openapi.json").read_text("utf-8"))
    page = (site / "reference/openapi/index.html").read_text("utf-8")
    for path in document["paths"]:
        assert path in page
    text = (site / "llms.txt").read_text("utf-8")
    assert text.startswith("# ClusterPass\n\n> ClusterPass is")
    for path in (ROOT / "docs").rglob("*.md"):
        uri = path.relative_to(ROOT / "docs").with_suffix("").as_posix().replace("/README", "")
        assert f"]({uri}/): " in text
        assert (site / uri / "index.html").is_file()


@pytest.mark.long
def test_a_link_to_nothing_ends_the_build(tmp_path):
    root = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__", "images")
    for name in ("docs", "scripts", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("mkdocs.yml", "README.md"):
        shutil.copy(ROOT / name, root / name)
    page = root / "docs/versioning.md"
    page.write_text(
        page.read_text("utf-8") + "\n[no file](none.md) [no anchor](releasing.md#none)\n"
    )
    done = build(tmp_path / "site", root)
    assert done.returncode != 0
    assert "none.md" in done.stderr
    assert "#none" in done.stderr


def test_every_error_has_a_cause_and_a_remedy():
    assert {kind.__name__ for kind in all_errors()} == set(HELP)
    codes = [kind.code for kind in all_errors()]
    assert len(codes) == len(set(codes))


@pytest.mark.alternating
def test_the_site_of_a_release_stands_beside_those_of_others(tmp_path):
    """By the script of ``make docs-release``, in a repository of the test's own."""
    program("mike")
    repository, before = tmp_path / "repository", tmp_path / "before"
    (before / "docs").mkdir(parents=True)
    (before / "docs/index.md").write_text("# Of before\n")
    (before / "mkdocs.yml").write_text("site_name: ClusterPass\n")
    subprocess.run(["git", "init", "-q", repository], check=True)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "GIT_DIR": str(repository / ".git")}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "x", f"GIT_{role}_EMAIL": "x@example.org"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)

    def run(*command: str, where: Path) -> str:
        done = subprocess.run(
            command,
            cwd=where,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("git", "commit", "--quiet", "--allow-empty", "--message", "first", where=repository)
    run("mike", "deploy", "0.0", "latest", where=before)
    run("sh", "scripts/release_docs.sh", where=ROOT)

    def page(path: str) -> str:
        return run("git", "show", f"gh-pages:{path}", where=repository)

    version = ".".join(clusterpass.__version__.split(".")[:2])
    listed = json.loads(page("versions.json"))
    assert {each["version"]: each["aliases"] for each in listed} == {version: ["latest"], "0.0": []}
    assert "Of before" in page("0.0/index.html")
    assert 'url=latest/"' in page("index.html") or "latest/" in page("index.html")
    deploy = page(f"{version}/howto/deploy/index.html")
    assert f"/blob/v{clusterpass.__version__}/deploy" in deploy
    assert "/blob/main/" not in deploy
    assert '"provider": "mike"' in deploy
