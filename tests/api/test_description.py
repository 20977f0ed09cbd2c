"""The OpenAPI document and the page to try it."""

import re
from typing import Any

import httpx
import yaml
from django.core.management import call_command

from tests.api.description import description


def test_it_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_it_is_served_as_it_is_made(strained: Any) -> None:
    served = httpx.get(f"{strained.url}/api/v1/schema")

    assert served.status_code == 200
    assert yaml.safe_load(served.text)["paths"].keys() == description()["paths"].keys()


def test_it_names_every_path_of_the_protocol(protocol: str) -> None:
    promised = set(re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/api/v1/[^`?]*)", protocol, flags=re.MULTILINE))
    described = {
        (method.upper(), re.sub(r"\{\w*?(\w+?)(_id)?\}", r"{\1}", path))
        for path, methods in description()["paths"].items()
        for method in methods
    }

    assert promised
    assert {(method, _anonymous(path)) for method, path in promised} == {(m, _anonymous(p)) for m, p in described}


def _anonymous(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_the_limits_are_there_for_anybody(strained: Any) -> None:
    answer = httpx.get(f"{strained.url}/api/v1/limits")

    assert answer.status_code == 200
    assert "/api/v1/limits" in description()["paths"]
    assert "security" not in description()["paths"]["/api/v1/limits"]["get"]


def test_the_page_to_try_it_runs_only_our_own_scripts(strained: Any) -> None:
    page = httpx.get(f"{strained.url}/api/v1/docs")

    sources = re.findall(r"<script[^>]*>", page.text)
    assert page.status_code == 200
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert sources
    assert all(re.search(r'src="/', tag) for tag in sources), sources
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert httpx.get(f"{strained.url}{address.replace('&amp;', '&')}").status_code == 200, address
