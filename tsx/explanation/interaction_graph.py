"""Which inputs act together, as a graph: nodes are inputs, edges the interactions of pairs with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import polars as pl

from tsx.sanitize import clean

CLEAR = 2.0
"""Standard errors beyond which an interaction is clear."""
WHO = ("feature", "lag", "oldest_lag")
NAMESPACE = "http://graphml.graphdrawing.org/xmlns"


@dataclass(frozen=True, eq=False)
class InteractionGraph:
    """Inputs and pairs of them.

    nodes  node (its number), feature, lag, oldest_lag, mean_abs_shap, share: the largest share first
    edges  source and target (nodes), interaction (its mean) and std_error, size (the root mean square beyond the
           error), forecasts (in which both are strong), clear
    """

    nodes: pl.DataFrame
    edges: pl.DataFrame

    def document(self) -> dict[str, Any]:
        """What `interactions.json` holds."""
        return {"nodes": self.nodes.to_dicts(), "edges": self.edges.to_dicts()}

    def graphml(self) -> str:
        """The graph as GraphML, which Gephi, Cytoscape, igraph and networkx read."""
        root = ElementTree.Element("graphml", xmlns=NAMESPACE)
        tables = {"node": self.nodes.drop("node"), "edge": self.edges.drop("source", "target")}
        for kind, table in tables.items():
            for name, dtype in table.schema.items():
                attributes = {"id": f"{kind}_{name}", "for": kind, "attr.name": name, "attr.type": _type(dtype)}
                ElementTree.SubElement(root, "key", attributes)
        graph = ElementTree.SubElement(root, "graph", id="interactions", edgedefault="undirected")
        for row in self.nodes.iter_rows(named=True):
            _with_data(ElementTree.SubElement(graph, "node", id=f"n{row['node']}"), "node", row)
        for row in self.edges.iter_rows(named=True):
            ends = {name: f"n{row[name]}" for name in ("source", "target")}
            _with_data(ElementTree.SubElement(graph, "edge", ends), "edge", row)
        ElementTree.indent(root)
        return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _type(dtype: pl.DataType) -> str:
    return (
        "boolean"
        if dtype == pl.Boolean
        else "long"
        if dtype.is_integer()
        else "double"
        if dtype.is_float()
        else "string"
    )


def _with_data(element: ElementTree.Element, kind: str, row: dict[str, Any]) -> None:
    for name, value in row.items():
        if (
            name in ("node", "source", "target")
            or value is None
            or (isinstance(value, float) and not math.isfinite(value))
        ):
            continue
        text = (
            str(value).lower() if isinstance(value, bool) else clean(value) if isinstance(value, str) else repr(value)
        )
        ElementTree.SubElement(element, "data", key=f"{kind}_{name}").text = text


def pairs_of(frame: pl.DataFrame, ids: tuple[str, ...]) -> pl.DataFrame:
    """Of every pair in a table of interactions, the strongest first.

    feature, lag, oldest_lag and the same with `with_`; `mean` over the `forecasts` in which both are strong and their
    steps, its `std_error`, their mean `size`, `beyond`: the root of the mean square less the squared standard errors (0
    where negative), and the mean standard error `se` of one estimate.

    Steps of one forecast share their draws, so that a mean over them is no more certain than one of them; forecasts
    are independent.
    """
    if "oldest_lag" not in frame.columns:
        frame = frame.with_columns(oldest_lag="lag", with_oldest_lag="with_lag")
    pair = [*WHO, *(f"with_{name}" for name in WHO)]
    value, error = pl.col("interaction"), pl.col("interaction_se")
    of_forecast = frame.group_by(*ids, "cutoff", *pair, maintain_order=True).agg(
        mean=value.mean(), size=value.abs().mean(), square=(value**2 - error**2).mean(), error=error.mean()
    )
    return (
        of_forecast.group_by(pair, maintain_order=True)
        .agg(
            pl.col("mean").mean(),
            std_error=(pl.col("error") ** 2).sum().sqrt() / pl.len(),
            size=pl.col("size").mean(),
            beyond=pl.col("square").mean().clip(lower_bound=0).sqrt(),
            se=pl.col("error").mean(),
            forecasts=pl.len().cast(pl.Int64),
        )
        # a rare pair does not lead, however large it is
        .sort(pl.col("size") * pl.col("forecasts"), *pair, descending=[True, *([False] * len(pair))])
    )


def interaction_graph(frame: pl.DataFrame, profile: pl.DataFrame, ids: tuple[str, ...]) -> InteractionGraph:
    """The graph of a table of interactions, its nodes with what `profile` (lag_profile) says of them."""
    pairs = pairs_of(frame, ids)
    if "oldest_lag" not in profile.columns:
        profile = profile.with_columns(oldest_lag="lag")
    ends = pl.concat([pairs.select(WHO), pairs.select(**{name: f"with_{name}" for name in WHO})])
    nodes = (
        ends.unique()
        .join(profile.select(*WHO, "mean_abs_shap", "share"), on=WHO, how="left", nulls_equal=True)
        .sort("share", *WHO, descending=[True, False, False, False], nulls_last=True)
        .with_row_index("node")
        .with_columns(pl.col("node").cast(pl.Int64))
    )
    number = nodes.select("node", *WHO)
    other = number.rename({name: f"with_{name}" for name in WHO} | {"node": "target"})
    edges = pairs.join(number.rename({"node": "source"}), on=WHO, nulls_equal=True, maintain_order="left").join(
        other, on=[f"with_{name}" for name in WHO], nulls_equal=True, maintain_order="left"
    )
    return InteractionGraph(
        nodes,
        edges.select(
            "source",
            "target",
            interaction="mean",
            std_error="std_error",
            size="beyond",
            forecasts="forecasts",
            clear=(pl.col("mean").abs() > CLEAR * pl.col("std_error")).fill_null(False),
        ),
    )
