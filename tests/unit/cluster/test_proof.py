"""Who is asked for a completion, by which way, and what the answers prove."""

from __future__ import annotations

from rayspan.cluster.proof import RETRY_SECONDS, Entry, Probe, Proof, silent
from rayspan.report.observed import CompletionView, Scrape

A, B = Entry("a", "pod a", "10.0.0.1"), Entry("b", "pod b", "10.0.0.2")
SERVICE = Entry("s", "the Service", "10.96.0.9")
ABSENT = Entry("s", "the Service", "")


def answer(at: float, ok: bool = True, by: str | None = None) -> CompletionView:
    return CompletionView(ok=ok, at=at, seconds=0.0, detail="", replica=by)


def ask(proof: Proof, at: float, *entries: Entry, replicas: tuple[str, ...] = ("r0", "r1")) -> list[Probe]:
    return proof.due(replicas, entries, at, proof_seconds=20)


def proven(at: float = 0) -> Proof:
    """Both replicas and all ways in have answered."""
    proof = Proof()
    for probe in ask(proof, at, A, B, SERVICE):
        proof.took(probe, answer(at))
    return proof


def test_at_first_each_replica_is_asked_and_each_way_is_tried() -> None:
    probes = ask(Proof(), 0, A, B, SERVICE)
    assert {probe.replica for probe in probes} == {"r0", "r1"}
    assert [probe.entry for probe in probes] == [A, B, SERVICE]


def test_what_has_answered_is_left_alone_until_its_proof_is_old() -> None:
    proof = proven()
    assert ask(proof, 19, A, B, SERVICE) == []
    assert {probe.replica for probe in ask(proof, 20, A, B, SERVICE)} == {"r0", "r1"}


def test_a_new_replica_and_a_new_pod_are_asked_at_once() -> None:
    proof = proven()
    (probe,) = ask(proof, 5, A, B, SERVICE, replicas=("r0", "r1", "r2"))
    assert probe.replica == "r2"
    new = Entry("c", "pod c", "10.0.0.3")
    (probe,) = ask(proof, 5, A, B, new, replicas=("r0", "r1"))
    assert probe.entry == new


def test_a_stuck_replica_does_not_hide_behind_another() -> None:
    proof = proven()
    for probe in ask(proof, 20, A, B):
        proof.took(probe, answer(20, ok=probe.replica == "r0"))
    assert {name: view.ok for name, view in proof.replicas.items()} == {"r0": True, "r1": False}
    assert proof.completion is not None
    assert proof.completion.ok


def test_an_answer_by_another_replica_proves_that_one() -> None:
    proof = Proof()
    proof.took(Probe("r1", A), answer(0, by="r0"))
    assert list(proof.replicas) == ["r0"]
    assert silent([A, B], proof) == ("pod b",)


def test_a_failure_by_a_way_that_never_worked_says_nothing_of_the_replica() -> None:
    proof = Proof()
    proof.took(Probe("r0", A), answer(0, ok=False))
    assert proof.replicas == {}
    assert proof.completion == answer(0, ok=False)


def test_a_pod_that_takes_no_connection_any_more_is_not_held_against_the_replica() -> None:
    proof = proven()
    proof.took(Probe("r0", A), CompletionView(ok=False, at=1, seconds=3, detail="", reached=False))
    assert proof.replicas["r0"].ok
    assert silent([A, B], proof) == ("pod a",)


def test_a_failure_is_followed_by_a_rest() -> None:
    proof = proven()
    proof.took(Probe("r0", A), answer(1, ok=False))
    assert ask(proof, 1 + RETRY_SECONDS / 2, A, B) == []
    assert [probe.replica for probe in ask(proof, 1 + RETRY_SECONDS, A, B)] == ["r0"]


def test_a_service_without_an_address_is_waited_for_and_not_asked() -> None:
    proof = Proof()
    assert all(probe.entry is A for probe in ask(proof, 0, A, ABSENT))
    assert silent([A, ABSENT], proof) == ("pod a", "the Service")


def test_without_replicas_the_ways_in_have_to_be_proven_anew() -> None:
    proof = proven()
    assert ask(proof, 5, A, B, replicas=()) == []
    assert proof.replicas == {}
    assert [probe.entry for probe in ask(proof, 6, A, B, SERVICE)] == [A, B, SERVICE]


def page(count: float, replica: str = "r0", pod: str = "p", outcome: str = "ok") -> Scrape:
    labels = (("outcome", outcome), ("replica", replica))
    return Scrape(at=0, pod_uid=pod, values={("ray_rayspan_requests_total", labels): count})


def test_answers_to_users_renew_the_proof_of_the_replica_that_gave_them() -> None:
    proof = proven()
    proof.note([page(5)], 10)
    proof.note([page(6)], 19)
    assert [probe.replica for probe in ask(proof, 21, A, B)] == ["r1"]


def test_a_page_that_comes_back_or_a_failing_request_proves_nothing() -> None:
    proof = proven()
    proof.note([page(5, pod="p"), page(5, pod="q")], 1)
    proof.note([page(5, pod="p")], 10)
    proof.note([page(5, pod="p"), page(9, pod="q")], 19)
    proof.note([page(1, outcome="error")], 19)
    proof.note([page(2, outcome="error")], 20)
    assert {probe.replica for probe in ask(proof, 21, A, B)} == {"r0", "r1"}


def test_users_do_not_prove_a_replica_that_failed_its_probe() -> None:
    proof = proven()
    proof.took(Probe("r0", A), answer(1, ok=False))
    proof.note([page(5)], 2)
    proof.note([page(6)], 3)
    assert not proof.replicas["r0"].ok
