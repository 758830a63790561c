"""What the OpenAPI document says is what the server does: schemathesis asks, over all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from servers import EXAMPLES, Running, make_key, running

# That a query makes sense, that a date is one, that a recording is there: no schema can say it.
BEYOND = [positive_data_acceptance]

FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a recording, and a key that may do everything."""
    library = tmp_path_factory.mktemp("server") / "library"
    with running(library, key=make_key(library, "admin")) as one:
        one.upload(EXAMPLES / "voicemail.opus")
        yield one


def test_the_document_tells_the_truth(server: Running) -> None:
    key = {"Authorization": server.client.headers["Authorization"]}
    document = schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")
    failures = []
    count = 0
    for found in document.get_all_operations():
        operation = found.ok()
        count += 1

        @FEW
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=key, excluded_checks=BEYOND)

        try:
            ask()
        except BaseException as failure:  # a group of failures, which is no Exception
            if isinstance(failure, KeyboardInterrupt):
                raise
            failures.append(f"{operation.label}: {failure!r} {failure}")
    assert count > 20
    assert not failures, "\n\n".join(failures)


def test_every_operation_is_described(server: Running) -> None:
    document = server.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and operation["description"], (method, path)
            assert operation["tags"], (method, path)
