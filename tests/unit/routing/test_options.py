"""Routes are read from an object or a text, and what is wrong with them is said in words."""

from __future__ import annotations

import json

import pytest

from reeltune.config.routing import Route, TreadConfig, parse_tread

ONE = {"selection_ratio": 0.1, "start_layer_idx": 2, "end_layer_idx": -2}
PARSED = TreadConfig(routes=(Route(selection_ratio=0.1, start_layer_idx=2, end_layer_idx=-2),))


def refused(value: object) -> str:
    with pytest.raises(ValueError, match=r"\w") as raised:
        parse_tread(value)
    return str(raised.value)


def changed(**values: object) -> dict[str, object]:
    return {"routes": [ONE | values]}


@pytest.mark.parametrize(
    "value",
    [
        {"routes": [ONE]},
        json.dumps({"routes": [ONE]}),
        "{'routes': [{selection_ratio: 0.1, start_layer_idx: 2, end_layer_idx: -2},]} // as JSON5",
        PARSED,
    ],
    ids=["object", "json", "json5", "parsed"],
)
def test_an_object_and_a_text_mean_the_same(value: object) -> None:
    assert parse_tread(value) == PARSED


def test_what_is_stored_can_be_read_again() -> None:
    assert parse_tread(json.loads(PARSED.model_dump_json())) == PARSED


@pytest.mark.parametrize("value", [None, 5, [ONE], {}, {"routes": []}, {"routes": None}, "[]", "0.5"])
def test_what_holds_no_route_is_refused_with_an_example(value: object) -> None:
    problem, _, example = refused(value).partition(", such as ")
    assert problem == "an object with at least one route is needed"
    assert parse_tread(example).routes


def test_a_text_that_is_no_json_is_refused_with_an_example() -> None:
    problem = refused("{routes: [")
    assert problem.startswith("the text is not JSON (")
    assert parse_tread(problem.partition("should read like ")[2]).routes


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, "much", None])
def test_a_share_is_at_least_nothing_and_less_than_all(ratio: object) -> None:
    written = "null" if ratio is None else repr(ratio)
    assert refused(changed(selection_ratio=ratio)).startswith(f"route 1, selection_ratio is {written}; ")


def test_all_problems_are_named_with_their_route() -> None:
    rest = {"selection_ratio": 2, "start_layer_idx": 1.5, "layers": 3}
    problems = refused({"routes": [ONE, rest, "all"]})
    assert [part for part in problems.split("; ") if part.startswith(("route", "tread"))] == [
        "route 2, selection_ratio is 2",
        "route 2, start_layer_idx is 1.5",
        "route 2, end_layer_idx this option is needed",
        "route 2, layers unknown key",
        "route 3 is 'all'",
    ]


def test_options_without_a_route_cannot_be_made_by_any_way() -> None:
    with pytest.raises(ValueError, match="at least one route"):
        TreadConfig(routes=())


def test_a_key_beside_the_routes_is_refused() -> None:
    assert refused({"routes": [ONE], "ratio": 0.5}) == "ratio unknown key"


@pytest.mark.parametrize(("first", "last"), [(8, 2), (-2, -8)])
def test_a_route_that_runs_backwards_is_refused_at_once(first: int, last: int) -> None:
    problem = refused(changed(start_layer_idx=first, end_layer_idx=last))
    assert problem == f"route 1 from {first} to {last} ends before it starts"


@pytest.mark.parametrize("spans", [((2, 8), (8, 9)), ((2, 20), (3, 4)), ((-9, -5), (-6, -2)), ((4, 4), (4, 4))])
def test_routes_that_meet_are_refused_at_once(spans: tuple[tuple[int, int], ...]) -> None:
    several = [ONE | {"start_layer_idx": first, "end_layer_idx": last} for first, last in spans]
    assert "share a block" in refused({"routes": several})


@pytest.mark.parametrize("spans", [((2, 8), (9, 11)), ((2, -2), (-1, -1)), ((20, -20),), ((2, -20), (20, -2))])
def test_what_takes_the_depth_to_judge_is_left_alone(spans: tuple[tuple[int, int], ...]) -> None:
    several = [ONE | {"start_layer_idx": first, "end_layer_idx": last} for first, last in spans]
    assert len(parse_tread({"routes": several}).routes) == len(spans)


@pytest.mark.parametrize("kind", [Route, TreadConfig])
def test_every_key_says_what_it_does_in_a_sentence(kind: type[Route] | type[TreadConfig]) -> None:
    for field in kind.model_fields.values():
        assert field.description is not None
        assert len(field.description) > 20
        assert field.description.endswith(".")
