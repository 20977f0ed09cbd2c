"""The API's description, made in this process; tests/api/test_description.py holds it against the one that is served."""

from functools import cache
from typing import Any

import schemathesis
from drf_spectacular.generators import SchemaGenerator
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig


@cache
def description() -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


@cache
def described() -> Any:
    """The same, as a maker of requests. Deterministic: the same ones in every run."""
    generation = GenerationConfig(
        deterministic=True,
        no_shrink=True,
        max_examples=15,
        with_security_parameters=False,
        allow_extra_parameters=False,
    )
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    return schemathesis.openapi.from_dict(description(), config=config)
