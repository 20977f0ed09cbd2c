"""Requests made from the API's own description, right and wrong ones: every answer is one that the description names."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from tests.api.description import described
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
    excluded = [negative_data_rejection] if several else []
    case.call_and_validate(base_url=strained.url, headers=world.headers, excluded_checks=excluded)


def test_it_left_no_complaint(strained: Any) -> None:
    assert complaints(strained) == []
