"""Requests made from the API's own description, right and wrong ones: every answer is one that the description names."""

import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from tests.api.description import described, description
from tests.cast import new_id
from tests.strained import complaints


@pytest.mark.timeout(120)
@described().parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: Any, world: Any, strained: Any) -> None:
    if case.meta.generation.mode == GenerationMode.POSITIVE:
        for name in case.path_parameters:
            case.path_parameters[name] = world.path_parameter(name) or case.path_parameters[name]
        case.body = world.at_home(case.body)

    # Of several messages in one request, each is answered for itself: 200 with a refusal inside.
    several = isinstance(case.body, dict) and isinstance(case.body.get("messages"), list)
    # Whether each path asks for a token is asked once, below, and not for each case.
    # What changed since a version is not a list, although one path answers both: the two kinds of parameters do not mix.
    mixed = "since" in (case.query or {}) and not case.query.keys() <= {"since", "limit"}
    # A body that need not be sent, and is not, cannot be wrong; what else is, still must be refused.
    wrong = {part for part, info in case.meta.components.items() if info.mode == GenerationMode.NEGATIVE}
    nothing_wrong = case.body is NOT_SET and wrong <= {ParameterLocation.BODY}
    # A push service that there is would be told.
    subscribes = isinstance(case.body, dict) and "endpoint" in case.body
    excluded = [
        ignored_auth,
        *([negative_data_rejection] if several or nothing_wrong else []),
        *([positive_data_acceptance] if mixed or subscribes else []),
    ]
    case.call_and_validate(base_url=strained.url, headers=world.headers, excluded_checks=excluded)


@pytest.mark.parametrize("token", ["", "x.y.z"])
def test_nothing_but_what_says_so_goes_without_a_token(strained: Any, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            address = strained.url + re.sub(r"\{\w+\}", new_id(), _numbered(path, operation))
            answer = httpx.request(method, address, headers=headers, json={} if "requestBody" in operation else None)

            assert (answer.status_code == 401) == bool(operation.get("security")), (method, path, answer.status_code)


def _numbered(path: str, operation: dict[str, Any]) -> str:
    """The path with a number for each part of it that is one."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and parameter["schema"]["type"] == "integer":
            path = path.replace(f"{{{parameter['name']}}}", "1")
    return path


def test_it_left_no_complaint(strained: Any) -> None:
    assert complaints(strained) == []
