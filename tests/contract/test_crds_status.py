"""Our kinds: what of them is status."""

from typing import Any

import pytest

from lbprovider.api.resources import Resource
from tests.contract.kinds import KINDS, READY, STATUSES, Stored, path, said
from tests.e2e.rig.api import Api, ApiError

BY_STATUS = pytest.mark.parametrize("kind", KINDS, ids=str)


@BY_STATUS
def test_a_status_is_written_by_its_own_path_only(api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, status = STATUSES[kind]
    made = stored(kind, spec, name)
    generation = made["metadata"]["generation"]
    untouched = api.patch(path(kind, name), {"status": status})
    assert untouched.get("status", {}).get("conditions") is None
    written = api.patch(path(kind, name, "status"), {"status": status, "spec": {"pool": "ignored"}})
    assert (written["status"], written["spec"]) == (status, made["spec"])
    assert written["metadata"]["generation"] == generation


@BY_STATUS
def test_a_condition_is_one_for_each_type(api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, _ = STATUSES[kind]
    stored(kind, spec, name)
    with pytest.raises(ApiError) as error:
        api.patch(path(kind, name, "status"), {"status": {"conditions": [READY, READY]}})
    assert 'status.conditions[1]: Duplicate value: {"type":"Ready"}' in said(error.value)
