"""Leases under contention: of many creators and many swappers one wins, and everybody hears who."""

from concurrent.futures import ThreadPoolExecutor

from tests.contract.wire import lease, leases, version, watching
from tests.e2e.rig.api import Api

RACERS = 8


def test_of_many_creators_one_wins(api: Api, namespace: str) -> None:
    def create(number: int) -> int:
        return api.ask("POST", leases(namespace), lease("race", f"racer-{number}")).status

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(create, range(RACERS)))
    assert sorted(answers) == [201] + [409] * (RACERS - 1)
    assert api.get(leases(namespace, "race"))["spec"]["holderIdentity"] == f"racer-{answers.index(201)}"


def test_of_many_swappers_one_wins_each_round_and_a_watch_tells_the_winners(api: Api, namespace: str) -> None:
    where = leases(namespace, "race")
    seen = api.create(leases(namespace), lease("race", "nobody"))
    start = version(seen)
    winners = []
    with ThreadPoolExecutor(RACERS) as pool:
        for _ in range(5):
            wanted = [{**seen, "spec": {"holderIdentity": f"racer-{number}"}} for number in range(RACERS)]
            answers = [answer.status for answer in pool.map(lambda body: api.ask("PUT", where, body), wanted)]
            # Whoever wants what is there already changes nothing, and wins too.
            assert sorted(answers) == [200] + [409] * (RACERS - 1)
            seen = api.get(where)
            winners.append(seen["spec"]["holderIdentity"])
            assert winners[-1] == f"racer-{answers.index(200)}"
            seen = api.patch(where, {"spec": {"holderIdentity": "nobody"}})
    with api.watch(watching(leases(namespace), 1, resourceVersion=start)) as events:
        told = [event["object"]["spec"]["holderIdentity"] for event in events]
    assert told == [name for winner in winners for name in (winner, "nobody")]


def test_of_many_who_delete_one_does(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("race"))
    condition = {"preconditions": {"uid": made["metadata"]["uid"], "resourceVersion": version(made)}}

    def delete(_: int) -> int:
        return api.ask("DELETE", leases(namespace, "race"), condition).status

    with ThreadPoolExecutor(RACERS) as pool:
        assert sorted(pool.map(delete, range(RACERS))) == [200] + [404] * (RACERS - 1)


def test_counters_swapped_by_many_lose_no_step(api: Api, namespace: str) -> None:
    where = leases(namespace, "count")
    api.create(leases(namespace), {"metadata": {"name": "count"}, "spec": {"leaseTransitions": 0}})

    def step(_: int) -> None:
        while True:
            seen = api.get(where)
            seen["spec"]["leaseTransitions"] += 1
            if api.ask("PUT", where, seen).status == 200:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(20)))
    assert api.get(where)["spec"]["leaseTransitions"] == 20
