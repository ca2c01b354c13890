"""Convert boosted trees and forests, of all three tasks, to an ONNX graph with their exact thresholds and leaf values.

skl2onnx rounds both to float32, so that a value close to a threshold may take the other branch, and it is
silently wrong for native categories. This module returns None for a model that it cannot convert exactly.
"""

from typing import Any, NamedTuple

import numpy as np

OUTPUT = "probability"  # the name for every task; the manifest repeats it
OPSETS = {"": 20, "ai.onnx.ml": 5}  # TreeEnsemble in double is new in 5
IR_VERSION = 10
BRANCH_LEQ = 0
NODE = np.dtype(
    [
        *((name, np.int64) for name in ("is_leaf", "left", "right", "feature_idx", "missing_go_to_left")),
        *((name, np.float64) for name in ("num_threshold", "value")),
    ]
)
LINKS = {"IdentityLink": "Identity", "LogLink": "Exp", "LogitLink": "Sigmoid", "MultinomialLogit": "Softmax"}


class Ensemble(NamedTuple):
    """Trees whose leaf values are added up, and how the sum becomes a prediction."""

    trees: list[np.ndarray]
    targets: int
    combine: str  # the operator that turns sum and number into raw scores
    number: np.ndarray
    link: str  # the operator that turns raw scores into predictions
    single: bool = False  # whether scikit-learn compares thresholds with features in single precision


def to_onnx(model: Any, width: int) -> bytes | None:
    """Return a graph from X, shape (n, width), to OUTPUT, shape (n, 1), or (n, classes) with more than two classes.

    Both are double precision. Return None for a model that cannot be converted exactly.
    """
    from onnx import TensorProto, helper, numpy_helper

    ensemble = _boosted(model) or _forest(model)
    if ensemble is None:
        return None
    attributes = {
        name: numpy_helper.from_array(value, name) if value.dtype in (np.float64, np.uint8) else value.tolist()
        for name, value in _attributes(ensemble.trees, ensemble.targets).items()
    }
    number = numpy_helper.from_array(ensemble.number, "number")
    nodes, features = [], "X"
    if ensemble.single:
        nodes.append(helper.make_node("Cast", ["X"], ["single"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Cast", ["single"], ["rounded"], to=TensorProto.DOUBLE))
        features = "rounded"
    nodes += [
        helper.make_node(
            "TreeEnsemble", [features], ["sum"], domain="ai.onnx.ml", n_targets=ensemble.targets, **attributes
        ),
        helper.make_node(ensemble.combine, ["sum", "number"], ["raw"]),
        helper.make_node(ensemble.link, ["raw"], [OUTPUT]),
    ]
    entry = helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, width])
    answer = helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, [None, ensemble.targets])
    graph = helper.make_graph(nodes, "trees", [entry], [answer], [number])
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _boosted(model: Any) -> Ensemble | None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if not isinstance(model, (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        return None
    link = LINKS.get(type(model._loss.link).__name__)
    trees = [predictor.nodes for iteration in model._predictors for predictor in iteration]
    if link is None or model._preprocessor is not None or any(nodes["is_categorical"].any() for nodes in trees):
        return None
    targets = len(model._predictors[0])  # an iteration has a tree for each of more than two classes
    base = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(targets)
    return Ensemble(trees, targets, "Add", base, link)


def _forest(model: Any) -> Ensemble | None:
    """Return the mean of a forest's trees. A leaf in ONNX has one number, so each class gets a copy of every tree."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if not isinstance(model, (RandomForestClassifier, RandomForestRegressor)) or model.n_outputs_ > 1:
        return None
    values = model.estimators_[0].tree_.value.shape[2]  # per leaf: the share of each class, or one number
    wanted = [1] if values == 2 else range(values)
    trees = [_nodes(estimator.tree_, index) for estimator in model.estimators_ for index in wanted]
    number = np.array([len(model.estimators_)], dtype=np.float64)
    return Ensemble(trees, len(wanted), "Div", number, "Identity", single=True)


def _nodes(tree: Any, index: int) -> np.ndarray:
    """Return a forest's tree in the layout of a boosted one, with value `index` of each leaf."""
    out = np.zeros(tree.node_count, NODE)
    out["is_leaf"] = tree.children_left < 0
    out["left"], out["right"] = tree.children_left, tree.children_right
    out["feature_idx"] = np.maximum(tree.feature, 0)  # a leaf has none
    out["num_threshold"], out["missing_go_to_left"] = tree.threshold, tree.missing_go_to_left
    out["value"] = tree.value[:, 0, index]
    return out


def _attributes(trees: list[np.ndarray], targets: int) -> dict[str, np.ndarray]:
    """Return the attributes of TreeEnsemble: inner nodes and leaves of all trees, one flat array per attribute."""
    # A tree that is one leaf gets a node above it, both of whose branches lead to that leaf.
    inner = [np.flatnonzero(nodes["is_leaf"] == 0) if len(nodes) > 1 else np.array([0]) for nodes in trees]
    leaves = [np.flatnonzero(nodes["is_leaf"]) for nodes in trees]
    starts = np.cumsum([0, *map(len, inner)])
    leaf_starts = np.cumsum([0, *map(len, leaves)])
    parts = []
    for nodes, at, ends, start, leaf_start in zip(trees, inner, leaves, starts[:-1], leaf_starts[:-1], strict=True):
        index = np.empty(len(nodes), dtype=np.int64)  # each node's index among the inner nodes, or among the leaves
        index[at] = start + np.arange(len(at))
        index[ends] = leaf_start + np.arange(len(ends))
        left, right = nodes["left"][at], nodes["right"][at]
        parts.append(
            {
                "nodes_featureids": nodes["feature_idx"][at].astype(np.int64),
                "nodes_splits": nodes["num_threshold"][at].astype(np.float64),
                "nodes_missing_value_tracks_true": nodes["missing_go_to_left"][at].astype(np.int64),
                "nodes_truenodeids": index[left],
                "nodes_trueleafs": nodes["is_leaf"][left].astype(np.int64),
                "nodes_falsenodeids": index[right],
                "nodes_falseleafs": nodes["is_leaf"][right].astype(np.int64),
                "leaf_weights": nodes["value"][ends].astype(np.float64),
            }
        )
    out = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    out["nodes_modes"] = np.full(starts[-1], BRANCH_LEQ, dtype=np.uint8)
    out["leaf_targetids"] = np.repeat(np.arange(len(trees), dtype=np.int64) % targets, np.diff(leaf_starts))
    out["tree_roots"] = starts[:-1]
    return out
