"""`/docs`: the addresses of the studio for people who write programs, made from its own description.

The page is plain HTML that the server writes; it needs no scripts and asks nothing of any other host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter()
METHODS = ("get", "put", "post")
INTRODUCTION = """<p>Every address but <code>/health</code> needs the token that <code>earnest studio</code> printed.
Errors are <code>{"error": what, "remedy": what to do}</code>. The same as data:
<a href="/openapi.json">/openapi.json</a>.</p>"""
LIVE = """<section><h2>live</h2><article><h3><code>WS /api/bundles/{bundle}/live?rate=48000</code></h3>
<p>Send binary messages of 16-bit samples (little-endian, one channel, at the rate of the address), 1 MiB each at most.
The answers are JSON: <code>{"time_s": …, "scores": {label: score}}</code> for each window and
<code>{"event": {"start_s", "end_s", "label", "score"}}</code>. The text <code>{"end": true}</code> ends it: the last
events come, then it closes.</p></article></section>"""
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;
color-scheme:light dark}code{font-size:.95em}article{border-top:1px solid #8886;padding:.4rem 0}h3{margin:.4rem 0}
p{margin:.3rem 0}dl{margin:.3rem 0 .3rem 1rem;display:grid;grid-template-columns:max-content 1fr;gap:0 1rem}
dd{margin:0}pre{overflow:auto;padding:.6rem;border:1px solid #8886}"""


@router.get("/docs", include_in_schema=False)
def page(request: Request) -> HTMLResponse:
    """The page."""
    here = f"http://{request.headers['host']}"
    return HTMLResponse(render(request.app.openapi(), here))


def render(schema: Mapping[str, Any], here: str) -> str:
    """The page of an OpenAPI description; `here` is the address of the studio."""
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                tag = operation.get("tags", ["other"])[0]
                groups.setdefault(tag, []).append("".join(_operation(method, path, operation)))
    name = escape(f"{schema['info']['title']} {schema['info']['version']}")
    sections = "".join(f"<section><h2>{escape(tag)}</h2>{''.join(found)}</section>" for tag, found in groups.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: HTTP API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{name}: HTTP API</h1>{INTRODUCTION}"
        f'<pre>curl -H "Authorization: Bearer $TOKEN" {escape(here)}/api/runs</pre>{sections}{LIVE}</body></html>'
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<article><h3><code>{method.upper()} {escape(path)}</code></h3>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
    asked = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    if asked:
        yield f"<dl>{''.join(map(_parameter, asked))}</dl>"
    for kind in operation.get("requestBody", {}).get("content", ()):
        yield f"<p>Body: <code>{escape(kind)}</code></p>"
    yield "</article>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    schema = parameter.get("schema", {})
    kinds = [one.get("type", "") for one in schema.get("anyOf", [schema])]
    said = schema.get("enum") or [kind for kind in kinds if kind not in ("null", "")]
    default = f", {schema['default']} by default" if schema.get("default") not in (None, "", []) else ""
    needed = ", needed" if parameter.get("required") else ""
    text = escape(f"{' | '.join(map(str, said))}{default}{needed}")
    return f"<dt><code>{escape(parameter['name'])}</code></dt><dd>{text}</dd>"
