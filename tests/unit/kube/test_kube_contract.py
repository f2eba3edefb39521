"""The fake keeps the contract that the real API server keeps (tests/contract/test_kube.py)."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.kube_api import CASES, Case, a_version_too_old_is_gone
from tests.fakes.api_server import FakeApi


@pytest.mark.parametrize("case", [*CASES, a_version_too_old_is_gone], ids=lambda case: case.__name__)
def test_fake(case: Case) -> None:
    async def main() -> None:
        await case(FakeApi(), "contract")

    asyncio.run(main())
