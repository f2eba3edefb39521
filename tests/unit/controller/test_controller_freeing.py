from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_mock import MockerFixture

from lbprovider.controller.freeing import Freeing
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.tasks import beside
from lbprovider.controller.writer import Urgency
from tests.fakes import virtual_time
from tests.unit.controller.controller_world import settle


def test_each_freed_address_has_one_asked_of_those_who_would_gain_by_it(mocker: MockerFixture) -> None:
    async def main(_: Callable[[], float]) -> None:
        decisions: Any = mocker.Mock(waiting=dict.fromkeys(["a", "b", "c", "d"]))
        decisions.would_gain.side_effect = lambda key: key != "a"
        queue: Any = mocker.Mock()
        freeing = Freeing(Inventory(), mocker.Mock(), mocker.Mock(), decisions, queue)
        async with beside(freeing.hand_on()):
            await settle()
            assert queue.add.mock_calls == []
            freeing.freed()
            freeing.freed()
            await settle()
        assert queue.add.mock_calls == [mocker.call("b", Urgency.CHANGED), mocker.call("c", Urgency.CHANGED)]

    virtual_time.run(main)
