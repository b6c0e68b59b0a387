"""What the models of keras_zoo.py are made with: their registry, weights and inputs."""

import collections

import numpy as np
import tensorflow as tf

# inputs: as `predict` takes them, in tf.nest.flatten's order those of the frozen file;
# signature: the input_signature= that the model needs
Case = collections.namedtuple("Case", "model inputs signature")
Case.__new__.__defaults__ = (None,)

BUILDERS = {}  # {name: (function of keras, what it needs of keras)}
BATCH = 3
SEED = 7


def entry(*needs):
    """Register a builder that needs these dotted names of keras."""

    def register(builder):
        BUILDERS[builder.__name__] = builder, needs
        return builder

    return register


def names(keras):
    """What of the zoo this Keras can build."""
    return sorted(name for name, (_, needs) in BUILDERS.items() if all(map(_has(keras), needs)))


def build(keras, name):
    """The named model with seeded weights, and its inputs."""
    np.random.seed(SEED)
    tf.compat.v1.set_random_seed(SEED)
    if _has(keras)("utils.set_random_seed"):
        keras.utils.set_random_seed(SEED)
    return BUILDERS[name][0](keras)


def _has(keras):
    def has(dotted):
        found = keras
        for part in dotted.split("."):
            found = getattr(found, part, None)
        return found is not None

    return has


def stir(model, examples=None):
    """Move all vectors (biases, scales, statistics) from where they begin: 0 and 1 hide mistakes.

    Given examples, batch norm then takes its statistics from them, but for a little that keeps
    rounding errors from growing: else what goes through a deep net vanishes.
    """
    random = np.random.RandomState(SEED)
    model.set_weights(
        [
            w + random.uniform(0, 0.5, w.shape).astype(w.dtype)
            if w.ndim == 1 and w.dtype == np.float32
            else w
            for w in model.get_weights()
        ]
    )
    if examples is not None and tf.executing_eagerly():
        norms = [layer for layer in model._flatten_layers() if "BatchNorm" in type(layer).__name__]
        momenta = [layer.momentum for layer in norms]
        for layer in norms:
            layer.momentum = 0.02
        if norms:
            model(examples, training=True)
        for layer, momentum in zip(norms, momenta):
            layer.momentum = momentum
    return model


def data(*shape, **scale):
    """Seeded float32 numbers for a batch."""
    values = np.random.RandomState(SEED).uniform(-1, 1, (BATCH,) + shape)
    return (values * scale.get("scale", 1)).astype(np.float32)


def ids(limit, *shape):
    """Seeded integers below a limit."""
    return np.random.RandomState(SEED).randint(0, limit, (BATCH,) + shape).astype(np.int32)


def sequential(keras, inputs, *stack):
    """A stack of layers on inputs like these."""
    dtype = "string" if isinstance(inputs, tf.Tensor) else inputs.dtype.name
    start = keras.Input(inputs.shape[1:], dtype=dtype, name="features")
    last = start
    for layer in stack:
        last = layer(last)
    return Case(stir(keras.Model(start, last)), inputs)


def answers(case):
    """What the model itself says, one array for each output of the frozen file."""
    return tf.nest.flatten(case.model.predict(case.inputs, batch_size=BATCH, verbose=0))


def feeds(case, signature):
    """The inputs for the frozen file, by tensor name."""
    arrays = [
        x.numpy().astype("S") if isinstance(x, tf.Tensor) else x
        for x in tf.nest.flatten(case.inputs)
    ]
    return {info.tensor: array for info, array in zip(signature.inputs, arrays)}


def difference(got, wanted):
    """The largest difference relative to an output's scale, over all outputs."""
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(got, wanted)]
    assert len(got) == len(wanted) and all(a.shape == b.shape for a, b in pairs)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def spread(wanted):
    """How much the rows of a batch differ, relative to the scale: 0 for a constant answer."""
    return min(float(np.ptp(w, axis=0).max() / np.abs(w).max()) for w in wanted)
