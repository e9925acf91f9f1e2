"""The network as an ONNX file, for programs that have no torch. Needs `tsx-forecast[onnx]`.

    >>> from tsx.interop.onnx import export_network      # doctest: +SKIP
    >>> export_network("tsx-model", "network.onnx")      # doctest: +SKIP

The file holds the network alone: from a batch of windows, as `tsx.model.batch.Batch` describes them, to quantiles. What
makes windows of a table (calendar, roles, missing values) and the adapted levels of intervals stay with `tsx`.
Shapes: B windows (any number), T context, C channels, F channels known ahead, H horizon, Q quantiles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from tsx.errors import ConfigError, MissingDependency
from tsx.io.atomic import atomic_write
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.spec.channels import TARGET
from tsx.store.forecaster import load_forecaster
from tsx.wording import column_list

try:
    from onnxscript import opset18 as onnx
except ImportError:
    raise MissingDependency(
        "package-missing",
        "the Python package onnxscript is not installed",
        where="onnxscript",
        hint='pip install "tsx-forecast[onnx]"',
    ) from None

INPUTS = ("past", "future", "static_values", "static_codes", "usual_scale", "center")
"""past (B, T, C), future (B, H, F), static_values and static_codes (B, ...), usual_scale (B), center (B)."""
OUTPUT = "quantiles"
"""(B, H, Q), around `center`: y is this and `center` together."""
SMALLEST = -(2**31)


class Plain(nn.Module):
    """The network with tensors for its inputs, in the order of `INPUTS`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        past: Tensor,
        future: Tensor,
        static_values: Tensor,
        static_codes: Tensor,
        usual_scale: Tensor,
        center: Tensor,
    ) -> Tensor:
        """Quantiles (B, H, Q)."""
        unread = past[:, :1, TARGET]  # stands for the target, which only training reads
        batch = Batch(past, future, static_values, static_codes, usual_scale, center, unread)
        return cast(Tensor, self.network(batch))


def export_network(model: str | Path = "tsx-model", out: str | Path = "network.onnx") -> Path:
    """Write the network of a model as an ONNX file and give its path.

    model  the directory of the model.
    out    the file to write.

    The file's inputs are `INPUTS`, its output is `OUTPUT`; the number of windows is free. Raises NotFound
    `model-not-found`, ConfigError `settings-contradict` for a model that reads words over time, WriteError
    `file-not-writable`.
    """
    network = load_forecaster(model, device="cpu")[0].network.eval()
    if words := network.config.channels.words:
        raise ConfigError(
            "settings-contradict",
            f"the model reads words over time ({column_list(channel.name for channel in words)}), which an ONNX file "
            "does not have as inputs",
            hint="fit without these columns, or forecast with tsx",
            where="model",
        )
    example = example_batch(network)
    program = torch.onnx.export(
        Plain(network),
        example,
        dynamo=True,
        verbose=False,
        input_names=list(INPUTS),
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) * len(INPUTS),
        custom_translation_table={torch.ops.aten.cummax.default: _cummax},
    )
    assert program is not None
    with atomic_write(out) as file:
        file.write(program.model_proto.SerializeToString())
    return Path(out)


def example_batch(network: Network, windows: int = 3) -> tuple[Tensor, ...]:
    """Inputs of the right shapes, in the order of `INPUTS`."""
    config, channels = network.config, network.config.channels
    return (
        torch.rand(windows, config.context_length, len(channels.time_varying)),
        torch.rand(windows, config.horizon, len(channels.ahead)),
        torch.rand(windows, len(channels.static_numbers)),
        torch.zeros(windows, len(channels.static_categories), dtype=torch.int64),
        torch.ones(windows),
        torch.zeros(windows),
    )


def _cummax(self: Any, dim: int) -> Any:
    """The largest so far along the second axis, which ONNX has no operator for; twice, as its place is not read."""
    rest = list(range(2, len(self.shape)))  # axes after it
    length = onnx.Gather(onnx.Shape(self), onnx.Constant(value_int=1))
    steps = onnx.Range(onnx.Constant(value_int=0), length, onnx.Constant(value_int=1))
    row, column = onnx.Constant(value_ints=[0]), onnx.Constant(value_ints=[1])
    earlier = onnx.LessOrEqual(onnx.Unsqueeze(steps, row), onnx.Unsqueeze(steps, column))
    if rest:
        earlier = onnx.Unsqueeze(earlier, onnx.Constant(value_ints=rest))
    wide = onnx.Where(earlier, onnx.Unsqueeze(self, column), onnx.Constant(value_int=SMALLEST))
    largest = onnx.ReduceMax(wide, onnx.Constant(value_ints=[2]), keepdims=0)
    return largest, largest
