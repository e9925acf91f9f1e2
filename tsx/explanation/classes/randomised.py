"""A classifier that has forgotten what it learnt, one part after the other: what explanations are held against.

Adebayo et al. 2018, *Sanity checks for saliency maps*. Parts that do not count are left out: to change them would
change nothing, and say nothing of the explanation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from torch import Tensor

from tsx.model.classifier import CombinedClassifier
from tsx.model.sequences import SequenceBatch
from tsx.model.summaries import summaries
from tsx.model.trees import SummaryTrees
from tsx.spec.classifier import KERNELS, NETWORKS, REGRESSION, TREES
from tsx.wording import and_list

PARTS_OF_A_NETWORK = {
    "classes": ("head",),
    "pooling and convolutions": ("pooling", "stem"),
    "encoders": ("forward_encoder", "backward_encoder"),
    "categories and words": ("categories", "words"),
}
"""Trained modules from the output downwards: what is randomised one after the other."""


def randomised_networks(
    network: CombinedClassifier, batch: SequenceBatch, seed: int = 0
) -> Iterator[tuple[str, CombinedClassifier]]:
    """The classifier with one more of its parts randomised each time, and the name of that part.

    Weights of networks become those before training. Coefficients on summaries and on kernels change places with each
    other. The splits of trees read other summaries, at values that some of the series of the `batch` have, and their
    leaves change places. Where what is drawn happens to go the learnt way over these series it is turned round: with
    few inputs half of all draws would, and a right explanation would look as if it came from anywhere.

    Nothing is yielded where class frequencies alone count.
    """
    changed = deepcopy(network)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        fresh = CombinedClassifier(network.config)
        simple = [part for part in REDRAWN if network.weight(part)]
        for part in simple:
            _, redraw = REDRAWN[part]
            coefficients = redraw(changed, batch)
            if _alike(network.of(batch, (part,)), changed.of(batch, (part,))):
                coefficients.neg_()
    if simple:
        yield and_list([REDRAWN[part][0] for part in simple]), changed
    for name, modules in PARTS_OF_A_NETWORK.items() if network.weight(NETWORKS) else ():
        there = [module for module in modules if any(True for _ in _weights(changed, module))]
        if not there:
            continue
        for module in there:
            for old, new in zip(_weights(changed, module), _weights(fresh, module), strict=True):
                old.data.copy_(new.data)
        yield name, changed


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether log probabilities (B, K) go the same way over the series, more than not."""
    centred = [each - each.mean(1, keepdim=True) for each in (one, other)]
    apart = [each - each.mean(0) for each in centred]
    return bool((apart[0] * apart[1]).sum() > 0)


def _weights(network: CombinedClassifier, module: str) -> Iterator[Tensor]:
    for member in network.members:
        found = getattr(member, module)
        if found is not None:
            yield from found.parameters()


def _redraw_regression(network: CombinedClassifier, batch: SequenceBatch) -> Tensor:
    return _permute(network.summary.coefficients)


def _redraw_kernels(network: CombinedClassifier, batch: SequenceBatch) -> Tensor:
    assert network.kernels is not None
    return _permute(network.kernels.coefficients)


def _redraw_trees(network: CombinedClassifier, batch: SequenceBatch) -> Tensor:
    trees = network.trees
    itself = torch.arange(trees.left.shape[1], device=trees.left.device)
    splits = trees.left != itself
    _redraw_splits(trees, splits, summaries(batch, network.config).double())
    reached = torch.zeros_like(splits)
    reached[:, 0] = True
    for side in (trees.left, trees.right):
        tree, node = torch.nonzero(splits, as_tuple=True)
        reached[tree, side[tree, node]] = True
    leaves = reached & ~splits  # nodes that only fill the table up are neither
    trees.value[leaves] = _permute(trees.value[leaves])
    return trees.value


def _redraw_splits(trees: SummaryTrees, splits: Tensor, features: Tensor) -> None:
    """Let each split part the series by any of the features (B, F) that differ among them, below the largest value."""
    below = []
    for column in features.T:
        seen = column[~torch.isnan(column)]
        below.append(seen[seen < seen.max()] if len(seen) else seen)
    differing = [f for f, values in enumerate(below) if len(values)]
    if not differing:
        return
    for tree, node in torch.nonzero(splits).tolist():
        feature = differing[int(torch.randint(len(differing), ()))]
        values = below[feature]
        trees.feature[tree, node] = feature
        trees.threshold[tree, node] = values[int(torch.randint(len(values), ()))]


def _permute(weights: Tensor) -> Tensor:
    """Every weight in the place of another, in place."""
    return weights.copy_(weights.flatten()[torch.randperm(weights.numel()).to(weights.device)].view_as(weights))


Redraw = Callable[[CombinedClassifier, SequenceBatch], Tensor]
REDRAWN: dict[str, tuple[str, Redraw]] = {
    REGRESSION: ("regression", _redraw_regression),
    TREES: ("trees on summaries", _redraw_trees),
    KERNELS: ("kernels", _redraw_kernels),
}
"""How the parts that are no networks are randomised, and what they are called; each gives the weights in which its
log-odds are linear."""
