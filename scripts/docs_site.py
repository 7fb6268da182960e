"""MkDocs hooks that generate the pages of the documentation site that are not files in docs/.

- The start page is README.md. ``reference/api/`` has every public name with its docstring,
  ``reference/openapi.md`` every call of the service, as its OpenAPI document describes them.
- A link that leaves docs/ leads to the file in the repository. A link to nothing ends the build.
- Anchors are those of GitHub, where the same pages are read.
- ``llms.txt`` lists all pages with what they are about; ``openapi.json`` is the document itself.
"""

import html
import json
import logging
import os
import re
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import clusterpass
from clusterpass.service.api.openapi import openapi_document
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.fastapi_app import build_framework
from clusterpass.service.settings.loading import make_settings

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
_BRANCH: Final = f"v{clusterpass.__version__}" if "MIKE_DOCS_VERSION" in os.environ else "main"
"""The site of a release leads to the files of its tag."""
REPOSITORY: Final = f"https://github.com/clusterpass/clusterpass/blob/{_BRANCH}/"
SECTIONS: Final = {
    "Tutorial": "tutorial",
    "How to": "howto",
    "Reference": "reference",
    "Why": "why",
    "Decisions": "adr",
}
_AREAS: Final = (
    # The beginning of a home, and the page of the names that live there. The first match counts.
    ("managers", "managers", "Session managers"),
    ("users", "users", "Users and passwords"),
    ("model.errors", "errors", "Errors"),
    ("model.authentication_errors", "errors", "Errors"),
    ("model", "values", "Values"),
    ("tokens", "tokens", "Tokens and keys"),
    ("jwks", "tokens", "Tokens and keys"),
    ("store", "store", "The store and local clusters"),
    ("embedded", "store", "The store and local clusters"),
    ("", "configuration", "Configuration"),
)
_LINK: Final = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(\))")
_ROLE: Final = re.compile(r":(?:class|meth|func|attr|mod|data|exc):<code>(~?)([\w.]+)</code>")
_log = logging.getLogger("mkdocs.hooks.docs_site")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Order the pages: those of each folder by their titles, so that a new one finds its place."""
    config.nav = [{"ClusterPass": "index.md"}]
    for title, folder in SECTIONS.items():
        pages = sorted((DOCS / folder).rglob("*.md"), key=_rank)
        entries: list[Any] = [path.relative_to(DOCS).as_posix() for path in pages]
        if folder == "reference":
            entries.append({"HTTP calls (OpenAPI)": "reference/openapi.md"})
            entries.append({"Public names": sorted(f"reference/api/{page}.md" for page in areas())})
        config.nav.append({title: entries})
    config.nav.append({"More": sorted(path.name for path in DOCS.glob("*.md"))})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that follow from the code."""
    made = {"index.md": _start_page(), "reference/openapi.md": _openapi_page(openapi())}
    for page, (title, names) in areas().items():
        blocks = [f"::: clusterpass.{home}.{name}" if home else name for name, home in names]
        made[f"reference/api/{page}.md"] = "\n\n".join([f"# {title}", *blocks]) + "\n"
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave docs/ to the repository."""
    folder = (DOCS / page.file.src_uri).parent

    def changed(match: re.Match[str]) -> str:
        before, target, anchor, after = match.groups()
        path = (folder / target).resolve()
        if path.is_relative_to(DOCS) and path.suffix:
            return match[0]
        if not path.exists():
            if (page.file.src_uri, target) != ("index.md", target):
                _log.warning("%s links to %s, which is not there", page.file.src_uri, target)
            return match[0]
        return f"{before}{REPOSITORY}{path.relative_to(ROOT).as_posix()}{anchor or ''}{after}"

    return _LINK.sub(changed, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the roles of docstrings as names."""

    def name(match: re.Match[str]) -> str:
        return f"<code>{match[2].rpartition('.')[2] if match[1] else match[2]}</code>"

    return _ROLE.sub(name, content)


def on_post_build(config: MkDocsConfig) -> None:
    """Write ``llms.txt`` and ``openapi.json``."""
    site = Path(config.site_dir)
    document = json.dumps(openapi(), indent=2)
    (site / "openapi.json").write_text(document, "utf-8")
    (site / "llms.txt").write_text(_llms_text(), "utf-8")


def areas() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """For each page of public names: its title, and the names with the modules they live in."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for name, home in clusterpass._HOMES.items():
        page, title = next((p, t) for start, p, t in _AREAS if home.startswith(start))
        found.setdefault(page, (title, []))[1].append((name, home))
    return found


def openapi() -> dict[str, Any]:
    """The OpenAPI document of a service with the default settings."""
    service = SimpleNamespace(settings=make_settings({}), bodies=None, requests=RequestCounts())
    return openapi_document(build_framework(service, None))


def _rank(path: Path) -> tuple[bool, str]:
    return path.name != "README.md", path.name if path.parent.name == "adr" else title_of(path)


def title_of(path: Path) -> str:
    """The first heading of a page."""
    match = re.search(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return match[1] if match else path.stem


def _start_page() -> str:
    text = (ROOT / "README.md").read_text("utf-8")
    text = re.sub(r"\]\(docs/", "](", text)

    def changed(match: re.Match[str]) -> str:
        before, target, anchor, after = match.groups()
        if (DOCS / target).exists():
            return match[0]
        if not (ROOT / target).exists():
            _log.warning("README.md links to %s, which is not there", target)
        return f"{before}{REPOSITORY}{target.rstrip('/')}{anchor or ''}{after}"

    return _LINK.sub(changed, text)


def _openapi_page(document: dict[str, Any]) -> str:
    about = document["info"]
    lines = [
        "# HTTP calls (OpenAPI)",
        "",
        f"Version {about['version']}, from the document that the service has at `/openapi.json`",
        "and this site at `openapi.json`.",
        "[The service over HTTP](http.md) explains the calls with examples.",
        "",
    ]
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            by_tag[(call.get("tags") or ["other"])[0]].append((method.upper(), path, call))
    for tag, found in by_tag.items():
        lines += [f"## {tag.capitalize()}", ""]
        for method, path, call in found:
            lines += [f"### `{method} {path}`", "", *_call(call, document)]
    return "\n".join(lines)


def _call(call: dict[str, Any], document: dict[str, Any]) -> list[str]:
    lines = [text for key in ("summary", "description") if (text := call.get(key))]
    lines.append("")
    parameters = call.get("parameters", [])
    if parameters:
        lines += ["| parameter | in | type | |", "|---|---|---|---|"]
        for each in parameters:
            about = _cell(each.get("description", "")) + " Required." * each.get("required", False)
            kind = _kind(each.get("schema", {}))
            lines.append(f"| `{each['name']}` | {each['in']} | {kind} | {about} |")
        lines.append("")
    for kind, content in call.get("requestBody", {}).get("content", {}).items():
        lines += [f"Body: `{kind}`", "", *_schema(content.get("schema", {}), document), ""]
    lines += ["| status | answer | body |", "|---|---|---|"]
    for status, answer in call.get("responses", {}).items():
        bodies = ", ".join(
            f"`{kind}` {_kind(content.get('schema', {}))}"
            for kind, content in answer.get("content", {}).items()
        )
        lines.append(f"| {status} | {_cell(answer.get('description', ''))} | {bodies} |")
    return [*lines, ""]


def _schema(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = document["components"]["schemas"].get(name, schema)
    members = found.get("properties", {})
    if not members:
        return [_kind(schema)]
    required = set(found.get("required", ()))
    rows = [
        f"| `{member}` | {_kind(about)} | {_cell(about.get('description', ''))}"
        f"{' Required.' if member in required else ''} |"
        for member, about in members.items()
    ]
    return ["| member | type | |", "|---|---|---|", *rows]


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", r"\|")


def _llms_text() -> str:
    lines = ["# ClusterPass", "", f"> {_first_paragraph(ROOT / 'README.md')}", ""]
    for title, folder in {**SECTIONS, "More": ""}.items():
        paths = (DOCS / folder).rglob("*.md") if folder else DOCS.glob("*.md")
        lines += [f"## {title}", ""]
        for path in sorted(paths, key=_rank):
            uri = path.relative_to(DOCS).with_suffix("").as_posix().replace("/README", "")
            about = _first_paragraph(path)
            lines.append(f"- [{title_of(path)}]({uri}/): {about}")
        lines.append("")
    lines += ["## Machine-readable", "", "- [OpenAPI](openapi.json): every HTTP call", ""]
    return "\n".join(lines)


def _first_paragraph(path: Path) -> str:
    """The first sentences of prose of a page, without markup."""
    for block in path.read_text("utf-8").split("\n\n"):
        if re.match(r"[A-Za-z`*\[]", block):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
            return plain.replace("**", "").replace("`", "")
    return title_of(path)
