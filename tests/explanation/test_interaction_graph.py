"""Interactions as a graph: what its nodes and edges are, and that other programs can read it."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from tests.report.fakes import make_explanation
from tsx.explanation.interaction_graph import NAMESPACE, interaction_graph, pairs_of
from tsx.report.tables import write_explanation

NAMES = {"g": NAMESPACE}


@pytest.fixture
def frame() -> pl.DataFrame:
    """Two forecasts of two steps: y with dose in both, dose with price in one."""
    return pl.DataFrame(
        [
            ("a", 1, 1, "y", 1, "dose", 2, 3.0, 0.4),
            ("a", 1, 2, "y", 1, "dose", 2, 1.0, 0.4),
            ("b", 1, 1, "y", 1, "dose", 2, 2.0, 0.3),
            ("b", 1, 2, "y", 1, "dose", 2, 4.0, 0.3),
            ("b", 1, 1, "dose", 2, "price", 0, -0.2, 1.0),
            ("b", 1, 2, "dose", 2, "price", 0, 0.1, 1.0),
        ],
        schema=["id", "cutoff", "step", "feature", "lag", "with_feature", "with_lag", "interaction", "interaction_se"],
        orient="row",
    )


@pytest.fixture
def profile() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "feature": ["y", "dose", "price"],
            "lag": [1, 2, 0],
            "mean_abs_shap": [3.0, 2.0, 1.0],
            "share": [0.6, 0.3, 0.1],
        }
    )


def test_an_edge_has_the_mean_of_its_forecasts_and_the_error_of_independent_ones(frame, profile):
    graph = interaction_graph(frame, profile, ("id",))
    assert graph.nodes.select("node", "feature", "share").rows() == [(0, "y", 0.6), (1, "dose", 0.3), (2, "price", 0.1)]
    first, second = graph.edges.iter_rows(named=True)
    assert (first["source"], first["target"], first["forecasts"], first["clear"]) == (0, 1, 2, True)
    assert first["interaction"] == pytest.approx(2.5)
    assert first["std_error"] == pytest.approx(np.hypot(0.4, 0.3) / 2)
    squares = np.array([9, 1, 4, 16]) - np.array([0.16, 0.16, 0.09, 0.09])
    assert first["size"] == pytest.approx(np.sqrt(squares.mean()))
    assert (second["source"], second["target"], second["clear"], second["size"]) == (1, 2, False, 0.0)


def test_a_pair_in_more_forecasts_goes_before_a_larger_one_in_fewer(frame):
    rare = frame.with_columns(
        pl.when(pl.col("with_feature") == "price").then(4.0).otherwise("interaction").alias("interaction")
    )
    assert pairs_of(rare, ("id",))["with_feature"].to_list() == ["dose", "price"]


def test_graphml_holds_every_node_and_edge_with_its_figures(frame, profile):
    nasty = frame.with_columns(pl.col("feature", "with_feature").replace({"dose": '<"dose"> & \x00\x1b'}))
    graph = interaction_graph(
        nasty, profile.with_columns(pl.col("feature").replace({"dose": '<"dose"> & \x00\x1b'})), ("id",)
    )
    root = ElementTree.fromstring(graph.graphml())
    keys = {key.get("id"): (key.get("attr.name"), key.get("attr.type")) for key in root.findall("g:key", NAMES)}
    assert keys["edge_interaction"] == ("interaction", "double")
    assert keys["edge_clear"] == ("clear", "boolean")
    nodes, edges = root.findall(".//g:node", NAMES), root.findall(".//g:edge", NAMES)
    assert [node.get("id") for node in nodes] == ["n0", "n1", "n2"]
    for edge, row in zip(edges, graph.edges.iter_rows(named=True), strict=True):
        assert (edge.get("source"), edge.get("target")) == (f"n{row['source']}", f"n{row['target']}")
        data = {data.get("key"): data.text for data in edge.findall("g:data", NAMES)}
        assert float(data["edge_interaction"]) == row["interaction"]
        assert data["edge_clear"] == str(row["clear"]).lower()
    names = {data.text for node in nodes for data in node.findall("g:data", NAMES) if data.get("key") == "node_feature"}
    assert {"y", "price"} < names


def test_the_graph_is_written_where_interactions_were_asked_for(tmp_path):
    both = write_explanation(make_explanation(series=2, horizon=4, context=24, full=True), tmp_path / "a", ())
    assert {"interactions.json", "interactions.graphml"} <= {path.name for path in both}
    without = write_explanation(make_explanation(series=2, horizon=4, context=24), tmp_path / "b", ())
    assert not any(path.stem == "interactions" for path in without)
