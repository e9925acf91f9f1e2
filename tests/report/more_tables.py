"""The further tables of an explanation, with known contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema

TREE = "|--- y lag 1 <= 0.50\n|   |--- value: [1.00]\n|--- y lag 1 >  0.50\n|   |--- value: [```2.00]"
NAMES = (
    "agreement",
    "by_cutoff",
    "by_path",
    "cohort_tests",
    "cohorts",
    "comparison",
    "contributions",
    "counterfactual_windows",
    "counterfactuals",
    "curves",
    "error_inputs",
    "error_windows",
    "gates",
    "interactions",
    "jacobian",
    "known_forecasts",
    "memory_needed",
    "paths",
    "randomised_layers",
    "reach",
    "reason_changes",
    "response",
    "since",
    "since_inputs",
    "states",
    "states_by_time",
    "surrogates",
    "time_constants",
    "variable_lags",
    "variables",
)


def more_tables(
    schema: Schema,
    config: NetworkConfig,
    ids: tuple[str, ...],
    times: Callable[[int], Any],
    profile: pl.DataFrame,
    retention: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Every table, for a network of `config` over the series `ids`; hostile ids are cohorts, too."""
    rng = np.random.default_rng(3)
    context, target = config.context_length, schema.target
    lags = np.arange(1, context + 1)
    shares = np.linspace(0, 1, 9)
    curve = {"shap": 4.0, "autocorrelation": 2.0, "random": 1.0}
    curves = [
        {
            "order": order,
            "kind": kind,
            "removed": x,
            "change": 1 - (1 - x) ** power if kind == "deletion" else x**power,
            "change_se": 0.03,
        }
        for order, power in curve.items()
        for kind in ("deletion", "insertion")
        for x in shares
    ]
    response = profile.select("feature", "lag", response=pl.col("mean_abs_shap") * 2, share="share")
    features = profile["feature"].unique(maintain_order=True).to_list()
    measures = {"shap": (5, 24), "response": (6, 26), "gradient": (9, 40), "gates": (27, context)}
    if config.attention != "none":
        measures["attention"] = (8, 30)
    states, gates = [], []
    for layer in range(1, config.layers + 1):
        share = np.exp(-lags / 12)
        states.append(
            pl.DataFrame(
                {"layer": layer, "lag": lags, "share": share / share.sum(), "size": share, "sign": np.cos(lags / 9)}
            )
        )
        for gate, open_ in (("forget", 0.95), ("input", 0.4), ("output", 0.6)):
            gates.append(
                pl.DataFrame(
                    {
                        "layer": layer,
                        "lag": lags,
                        "gate": gate,
                        "mean": open_ - 0.001 * (lags % 7),
                        "q10": open_ - 0.2,
                        "q90": min(open_ + 0.2, 1.0),
                    }
                )
            )
    cohorts = [
        {
            "cohort": str(key),
            "feature": row["feature"],
            "lag": row["lag"],
            "windows": 2,
            "series": 1,
            "mean_abs_shap": row["mean_abs_shap"] * scale,
            "mean_abs_shap_se": 0.1 * row["mean_abs_shap"],
            "mean_shap": row["mean_shap"],
            "mean_shap_se": 0.1,
            "share": row["share"],
        }
        for key, scale in zip(ids, rng.uniform(0.7, 1.3, len(ids)), strict=True)
        for row in profile.iter_rows(named=True)
    ]
    tau = np.sort(rng.lognormal(2.5, 1.0, 64))
    lengths = sorted({max(1, context // 8), max(1, context // 4), max(1, context // 2), context})
    pairs = [
        {
            schema.id_names[0]: key,
            "cutoff": times(context - 1),
            "step": 1,
            "feature": target,
            "lag": a,
            "with_feature": features[-1],
            "with_lag": a + 1,
            "interaction": 3.0 / a,
            "interaction_se": 0.1,
        }
        for key in ids
        for a in (1, 2, 5)
    ]
    exact = [
        {schema.id_names[0]: key, "cutoff": times(context - 1), "step": 1, "lag": int(lag), "contribution": 5.0 / lag}
        for key in ids
        for lag in lags
    ]
    return {
        "agreement": pl.DataFrame(
            [
                {
                    "measure": name,
                    "lag_50": half,
                    "lag_90": most,
                    "reached": most < context,
                    **{
                        other: (1.0 if other == name else None if other not in measures else 0.45)
                        for other in ("shap", "response", "gradient", "gates", "attention")
                    },
                }
                for name, (half, most) in measures.items()
            ],
            infer_schema_length=None,
        ),
        "by_path": pl.concat(
            [
                profile.select("feature", "lag", path=pl.lit(path), mean_abs_shap=pl.col("mean_abs_shap") * share)
                for path, share in (("location", 0.5), ("season", 0.0), ("linear", 0.4), ("recurrent", 0.2))
            ]
        ),
        "by_cutoff": pl.DataFrame(
            [
                {
                    **{"cutoff": times(k), "back": context - 1 - k, "feature": name, "windows": len(ids)},
                    **{"mean_abs_shap": 1.0, "mean_shap": 0.1, "mean_square_shap": 1.0, "share": 1 / len(features)},
                }
                for k in range(context)
                for name in features
            ]
        ),
        "reason_changes": pl.DataFrame(
            {
                **{"cutoff": [times(9)], "back": [context - 10], "feature": [target]},
                **{"share_before": [0.2], "share_after": [0.6], "p_adjusted": [0.002]},
            }
        ),
        "randomised_layers": pl.DataFrame(
            {"layers": ["heads", "layer 1"], "rank_correlation": [0.6, 0.3], "signed_correlation": [0.2, None]}
        ),
        "reach": pl.concat(
            [
                pl.DataFrame({"measure": name, "lag": lags, "size": np.exp(-lags / scale)})
                for name, scale in (("shap", 6), ("response", 7), ("gradient", 9), ("gates", 30))
            ]
        ),
        "cohort_tests": pl.DataFrame(
            {
                "feature": features,
                "cohorts": len(ids),
                "statistic": 8.1,
                "p_value": [0.0004] + [0.2] * (len(features) - 1),
                "p_adjusted": [0.001] + [0.4] * (len(features) - 1),
            }
        ),
        "cohorts": pl.DataFrame(cohorts, infer_schema_length=None),
        "comparison": pl.DataFrame(
            {
                "measure": [
                    "profile over features",
                    f"share of {target}",
                    "check gradient_agreement",
                    "check additivity",
                ],
                "before": [None, 0.5, 0.7, 0.0],
                "after": [None, 0.6, 0.4, 0.0],
                "drift": [0.1, 0.1, None, None],
                "note": [None, None, "pass, now weak", "pass"],
            }
        ),
        "contributions": pl.DataFrame(exact, infer_schema_length=None),
        "counterfactual_windows": pl.DataFrame(
            [
                {
                    **{schema.id_names[0]: key, "cutoff": times(context - 1), "step": config.horizon},
                    **{"number": (1, 0, None)[n % 3], "before": 120.0, "after": (69.0, 120.0, None)[n % 3]},
                    **{"changed": (1, 0, None)[n % 3], "distance": (1.2, None, None)[n % 3], "unusual": n % 3 == 5},
                }
                for n, key in enumerate(ids)
            ],
            infer_schema_length=None,
        ),
        "counterfactuals": pl.DataFrame(
            [
                {
                    **{schema.id_names[0]: key, "cutoff": times(context - 1), "number": 1},
                    **{"feature": features[-1], "lag": 2, "value": 0.0, "changed_to": 3.5},
                }
                for key in ids
            ]
        ),
        "curves": pl.DataFrame(curves),
        "error_inputs": profile.select(
            "feature",
            "lag",
            worse=pl.col("mean_shap"),
            worse_se=pl.lit(0.1),
            mean_abs_shap="mean_abs_shap",
        ).sort("worse", descending=True),
        "error_windows": pl.DataFrame(
            [
                {
                    **{schema.id_names[0]: key, "cutoff": times(context - 1), "mean_abs_error": 8.0 - n % 5},
                    **{"mean_error": -3.0, "distance": 1.2, "unusual": False, "missing": 0.1, "outside": 0.0},
                }
                for n, key in enumerate(ids)
            ]
        ),
        "gates": pl.concat(gates),
        "interactions": pl.DataFrame(pairs, infer_schema_length=None),
        "jacobian": pl.DataFrame(
            {
                "lag": [1, 4, context],
                "largest": [1.1, 0.6, 0.01],
                "median": [0.7, 0.1, 1e-6],
                "smallest": [0.1, 1e-5, 0.0],
            }
        ),
        "known_forecasts": pl.concat(
            pl.DataFrame(
                {
                    schema.id_names[0]: [key] * 3,
                    "cutoff": [times(context - 4)] * 3,
                    "step": [1, 2, 3],
                    "y": [100.0, 110.0, None],
                    "yhat": [100.0 + 2 * k, 110.0 - 2 * k, 120.0],
                    "low": 98.0,
                    "high": 111.0,
                    "naive": [110.0, 120.0, 130.0],
                    "seasonal_naive": [105.0, 105.0, 105.0],
                }
            )
            for k, key in enumerate(ids)
        ),
        "memory_needed": pl.DataFrame(
            {
                "context_length": lengths,
                "mae": np.linspace(5, 3, len(lengths)),
                "mae_se": 0.2,
                "difference": np.linspace(2, 0, len(lengths)),
                "difference_se": 0.1,
                "windows": 40,
            }
        ),
        "paths": pl.DataFrame(
            {
                "path": ["season", "linear", "recurrent"],
                "share": [0.3, 0.62, 0.08],
                "variance_share": [0.2, 0.83, -0.03],
            }
        ),
        "response": response,
        "since": pl.DataFrame(
            [
                {
                    **{schema.id_names[0]: key, "cutoff": times(context - 1), "step": step},
                    **{"earlier_cutoff": times(context - 3), "earlier_step": step + 2},
                    **{"before": 118.0, "after": 121.5, "change": 3.5},
                    **{"revised": 0.0, "new_model": 0.5, "moved_on": -1.0, "new_data": 4.0},
                }
                for key in ids
                for step in (1, 2, 3)
            ]
        ),
        "since_inputs": pl.DataFrame(
            [
                {
                    **{schema.id_names[0]: key, "cutoff": times(context - 1), "step": step, "feature": target},
                    **{"lag": lag, "value": 120.0, "expected": 116.0, "change": 4.0 / lag, "change_se": 0.1},
                }
                for key in ids
                for step in (1, 2, 3)
                for lag in (1, 2)
            ]
        ),
        "states": pl.concat(states),
        "states_by_time": pl.DataFrame(
            [
                {
                    **{
                        schema.id_names[0]: ids[0],
                        "cutoff": times(context - 1),
                        "at": times(context - lag),
                        "lag": lag,
                    },
                    **{"layer": config.layers, "unit": unit, "y": 120.0, "state": unit / 4 - 0.3, "hidden": 0.1},
                }
                for lag in range(context, 0, -config.segment)
                for unit in range(4)
            ]
        ),
        "surrogates": pl.DataFrame(
            {
                "name": ["linear", "tree", "additive"],
                "fidelity": [0.97, 0.81, 0.9],
                "mae": [3.0, 3.6, 3.2],
                "network_mae": 3.0,
                "terms": [4, 8, 12],
            }
        ),
        "time_constants": pl.DataFrame(
            {
                "rank": np.arange(1, 65),
                "layer": config.layers,
                "unit": np.arange(64),
                "time_constant": tau,
                "half_life": tau * 0.69,
                "measured_half_life": tau / 2,
                "log_normal": tau,
                "power_law": tau,
            }
        ),
        "variable_lags": profile.filter(pl.col("lag") > 0).select("feature", "lag", weight="share"),
        "variables": pl.DataFrame({"feature": features, "weight": 1 / len(features)}),
    }
