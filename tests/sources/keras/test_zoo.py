"""Files of Keras models of every kind, run in another process, answer as the models do."""

import pkgutil

import keras_zoo
import numpy as np
import pytest
from fitting import KERASES, TF1, keras_of
from frozen_files import read_graph_def

import freeze_hooks as fh

KERAS = {name: keras_of(name) for name in KERASES}
# of keras.applications; benchmarks/keras_zoo.py runs all
CHOSEN = {
    "keras": ("convnext", "efficientnet", "mobilenet", "mobilenet_v2"),
    "tf_keras": ("mobilenet_v2",),
    "tf.keras": ("densenet", "resnet", "resnet_v2", "vgg16") if TF1 else ("mobilenet_v2",),
}
MODELS = [
    (kind, name)
    for kind, keras in KERAS.items()
    for name in keras_zoo.names(keras)
    if name in CHOSEN[kind] or name not in keras_zoo.APPLICATIONS
]
# A call that XLA compiles becomes ordinary operations in a file, here a grouped convolution. On
# processors for which TensorFlow does not choose oneDNN, its remapper fuses that with a BiasAdd,
# and no kernel there does both (tensorflow#51825).
GROUPED = {"convnext"}
ENDS = {
    "lstm": (["features"], ["dense"]),
    "many_ends": (["left", "right"], ["classes", "value", "add"]),
    "mobilenet_v2": (None, ["predictions"]),
    "nested": (["one", "two"], ["score"]),
    "structures": (["image", "meta_0", "meta_1"], ["boxes_a", "boxes_b", "mask"]),
    "subclassed_signature": (["left", "right"], ["hidden", "probs"]),
    "transformer": (["tokens"], ["logits"]),
}


@pytest.fixture
def keras(kind):
    KERAS[kind].backend.clear_session()
    yield KERAS[kind]
    KERAS[kind].backend.clear_session()


def plan_of(case):
    return fh.plan_keras_model(case.model, input_signature=case.signature)


@pytest.mark.parametrize("kind, name", MODELS)
def test_model(keras, name, clean, tmp_path):
    case = keras_zoo.build(keras, name)
    plan = plan_of(case)
    path = str(tmp_path / "model.pb")
    plan.write(path)
    signature = plan.signature
    wanted = keras_zoo.answers(case)
    tensors = [info.tensor for info in signature.outputs]
    feeds = keras_zoo.feeds(case, signature)
    got = clean.run(path, feeds, tensors, optimize=name not in GROUPED)
    assert keras_zoo.spread(wanted) > 1e-4
    assert keras_zoo.difference(got, wanted) <= 1e-5
    assert plan_of(case).plan.pieces == plan.plan.pieces
    kinds = [finding.kind for finding in plan.findings]
    told = {"stateful": ["state"], **{key: ["random"] for key in keras_zoo.RANDOM}}
    assert kinds == told.get(name, [])
    check_ends(name, signature)
    check_names(path)


def check_ends(name, signature):
    ends = signature.inputs + signature.outputs
    if name != "stateful":
        assert all(info.shape is None or info.shape[0] is None for info in ends)
    assert all(info.tensor == info.name + ":0" for info in ends)
    inputs, outputs = ENDS.get(name, (None, None))
    assert inputs in (None, [info.name for info in signature.inputs])
    assert outputs in (None, [info.name for info in signature.outputs])


def check_names(path):
    graph_def = read_graph_def(path)
    assert not {"x", "Identity", "NoOp"} & {node.name for node in graph_def.node}
    functions = graph_def.library.function
    nodes = list(graph_def.node) + [node for f in functions for node in f.node_def]
    for name in [node.name for node in nodes] + [f.signature.name for f in functions]:
        assert not name.startswith(("functional", "model", "sequential", "__inference")), name


@pytest.mark.parametrize("kind, name", [(k, n) for k, n in MODELS if n in ("nested", "gru")])
def test_the_same_model_built_later_has_the_same_names(keras, name):
    first = plan_of(keras_zoo.build(keras, name)).plan
    keras.backend.clear_session()
    again = plan_of(keras_zoo.build(keras, name)).plan
    assert again.pieces == first.pieces


@pytest.mark.parametrize("kind", sorted(KERAS))
def test_every_family_of_applications_is_in_the_zoo(keras):
    package = keras.applications.densenet.DenseNet121.__module__.rpartition(".")[0]
    path = __import__(package, fromlist=["x"]).__path__
    families = {module.name for module in pkgutil.iter_modules(path)}
    families = {f for f in families if not f.endswith(("_utils", "_test", "resnet50"))}
    families = {f for f in families if hasattr(keras.applications, f)}
    assert families <= set(keras_zoo.names(keras))


@pytest.mark.skipif("tf.keras" in KERAS, reason="keras.random")
@pytest.mark.parametrize("kind", ["keras"])
def test_a_file_draws_what_the_next_call_would(keras, clean, tmp_path):
    """Each draw increases the seed, so the second draw reads it after an assignment."""
    case = keras_zoo.build(keras, "sampling_twice")
    plan = plan_of(case)
    (info,) = plan.signature.outputs
    answers = []
    for i in range(2):
        path = str(tmp_path / f"{i}.pb")
        plan.write(path)
        (got,) = clean.run(path, keras_zoo.feeds(case, plan.signature), [info.tensor])
        np.testing.assert_allclose(got, case.model(case.inputs), atol=1e-6)
        answers.append(got)
    assert np.abs(answers[0] - answers[1]).max() > 0.1
