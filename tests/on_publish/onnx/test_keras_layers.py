"""Every layer and every activation of Keras 3, converted by `to_onnx` and run in ONNX Runtime."""

import importlib

import numpy as np
import pytest
import tensorflow as tf
from fitting import HAS_KERAS_3
from onnx_answers import LACKING, assert_same, run

import freeze_hooks as fh

pytestmark = pytest.mark.skipif(
    bool(LACKING) or not HAS_KERAS_3, reason="to_onnx is for TensorFlow with NumPy 2 and Keras 3"
)
RNG = np.random.RandomState(0)
INPUTS = {
    "line": RNG.uniform(-1, 1, (3, 7, 4)).astype(np.float32),
    "plane": RNG.uniform(-1, 1, (3, 8, 8, 4)).astype(np.float32),
    "space": RNG.uniform(-1, 1, (3, 4, 6, 6, 4)).astype(np.float32),
    "films": RNG.uniform(-1, 1, (3, 3, 4, 6, 6, 2)).astype(np.float32),
    "colours": RNG.uniform(0, 1, (3, 8, 8, 3)).astype(np.float32),
    "row": RNG.uniform(-1, 1, (3, 4)).astype(np.float32),
    "sound": RNG.uniform(-1, 1, (3, 160, 1)).astype(np.float32),
    "wave": RNG.uniform(-1, 1, (3, 160)).astype(np.float32),
    "ids": RNG.randint(0, 9, (3, 6)).astype(np.int32),
    "texts": np.array([["a", "zz"], ["b", "a"], ["", "b"]], object),
}
RANKS = {1: "line", 2: "plane", 3: "space"}
# {layer: [arguments, by name]}, on inputs of rank 1, 2 and 3
RANKED = {
    "Conv": [{"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, {"filters": 4}],
    "ConvTranspose": [{"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}],
    "MaxPooling": [{"pool_size": 2, "padding": "same"}],
    "AveragePooling": [{"pool_size": 3, "strides": 2, "padding": "same"}],
    "GlobalMaxPooling": [{"keepdims": True}],
    "GlobalAveragePooling": [{}],
    "AdaptiveMaxPooling": [{"output_size": 3}],
    "AdaptiveAveragePooling": [{"output_size": 3}],
    "ZeroPadding": [{"padding": 1}],
    "Cropping": [{"cropping": 1}],
    "UpSampling": [{"size": 2}],
    "SpatialDropout": [{"rate": 0.5}],
    "SeparableConv": [{"filters": 4, "kernel_size": 3}],
    "DepthwiseConv": [{"kernel_size": 2, "padding": "same", "depth_multiplier": 2}],
}
# {layer: (input, arguments)}; a layer of several inputs gets the same input several times
OTHERS = {
    "Dense": ("line", {"units": 3, "activation": "gelu"}),
    "EinsumDense": ("line", {"equation": "abc,cd->abd", "output_shape": (None, 3)}),
    "Embedding": ("ids", {"input_dim": 9, "output_dim": 4}),
    "ReversibleEmbedding": ("ids", {"input_dim": 9, "output_dim": 4}),
    "LSTM": ("line", {"units": 4, "return_sequences": True}),
    "GRU": ("line", {"units": 4, "go_backwards": True}),
    "SimpleRNN": ("line", {"units": 4, "activation": "gelu"}),
    "Reshape": ("line", {"target_shape": (4, -1)}),
    "Permute": ("line", {"dims": (2, 1)}),
    "RepeatVector": ("row", {"n": 3}),
    "Rescaling": ("colours", {"scale": 1 / 255, "offset": [0.1, 0.2, 0.3]}),
    "Resizing": ("colours", {"height": 5, "width": 11, "interpolation": "bicubic"}),
    "CenterCrop": ("colours", {"height": 5, "width": 4}),
    "RandomCrop": ("colours", {"height": 5, "width": 4}),
    "GroupNormalization": ("plane", {"groups": 2}),
    "Discretization": ("line", {"bin_boundaries": [-0.5, 0.0, 0.5]}),
    "CategoryEncoding": ("ids", {"num_tokens": 9, "output_mode": "count"}),
    "IntegerLookup": ("ids", {"vocabulary": [1, 3, 5], "output_mode": "multi_hot"}),
    "StringLookup": ("texts", {"vocabulary": ["a", "b"]}),
    "STFTSpectrogram": ("sound", {"frame_length": 32, "frame_step": 16, "fft_length": 32}),
    "MelSpectrogram": ("wave", {"fft_length": 32, "sequence_stride": 16, "num_mel_bins": 4}),
    "MultiHeadAttention": ("line", {"num_heads": 2, "key_dim": 4}),
    "GroupQueryAttention": (
        "line",
        {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2},
    ),
    "Dot": ("line", {"axes": 2}),
    "ConvLSTM1D": ("plane", {"filters": 2, "kernel_size": 2}),
    "ConvLSTM2D": ("space", {"filters": 2, "kernel_size": 2}),
    "ConvLSTM3D": ("films", {"filters": 2, "kernel_size": 2}),
}
PAIRS = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract", "Attention")
PAIRS += ("AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention", "Dot")
ALONE = [
    "BatchNormalization",
    "LayerNormalization",
    "UnitNormalization",
    "RMSNormalization",
    "Softmax",
    "ReLU",
    "PReLU",
    "LeakyReLU",
    "ELU",
    "Flatten",
    "Identity",
    "ActivityRegularization",
    "Masking",
    "Normalization",
]
DROPPING = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise")
# Layers that change images; most do so only in training.
IMAGES = [
    "AutoContrast",
    "Solarization",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "AugMix",
    "CutMix",
    "MixUp",
    "RandAugment",
    "RandomColorJitter",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPerspective",
]
FACTORS = [
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomContrast",
    "RandomHue",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomZoom",
]
REFUSED = {  # {layer: (input, arguments, what the error names)}
    "Hashing": ("texts", {"num_bins": 5}, "StringToHashBucketFast"),
    "TextVectorization": ("texts", {"vocabulary": ["a"], "standardize": None}, "strings"),
    "HashedCrossing": ("texts", {"num_bins": 5}, "SparseCross"),
}
ELSEWHERE = [
    "Activation",
    "Lambda",
    "RNN",
    "StackedRNNCells",
    "LSTMCell",
    "GRUCell",
    "SimpleRNNCell",
    "Bidirectional",
    "TimeDistributed",
    "SpectralNormalization",
]
NO_MODELS = [
    "FlaxLayer",
    "InputLayer",
    "JaxLayer",
    "Layer",
    "MaxNumBoundingBoxes",
    "Pipeline",
    "TFSMLayer",
    "TorchModuleWrapper",
    "Wrapper",
]
UNUSABLE = ("Equalization",)  # Keras 3.15 cannot build a model with it
FEW = {
    "RandomPosterization": {"factor": 4},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
}
MODELS = ("line", "plane", "space", "pairs", "recurrent", "images", "others", "composed")


def layers_of():
    return importlib.import_module("keras").layers


def plan(name):
    """Return [(layer, its input)] of a model, by name."""
    layers = layers_of()
    found = {}

    def add(key, given, *arguments, **named):
        found[key] = getattr(layers, key)(*arguments, **named), given

    for rank, given in RANKS.items():
        if name == given:
            for kind, (named, *_) in RANKED.items():
                key = f"Conv{rank}DTranspose" if kind == "ConvTranspose" else f"{kind}{rank}D"
                if hasattr(layers, key):
                    add(key, given, **named)
    if name == "pairs":
        for key in PAIRS:
            add(key, "line", **OTHERS.get(key, ("", {}))[1])
    for key, (given, named) in OTHERS.items():
        recurrent = key in ("LSTM", "GRU", "SimpleRNN") or key.startswith("ConvLSTM")
        if key not in PAIRS and name == ("recurrent" if recurrent else "others"):
            add(key, given, **named)
    if name == "others":
        for key in ALONE:
            named = {"mean": 0.1, "variance": 2.0} if key == "Normalization" else {}
            add(key, "line", **named)
        for key in DROPPING:
            add(key, "line", 0.5)
    if name == "images":
        for key in IMAGES:
            add(key, "colours")
        for key in FACTORS:
            add(key, "colours", 0.2)
        for key, named in FEW.items():
            add(key, "colours", **named)
    if name == "composed":
        cells = [layers.LSTMCell(4), layers.GRUCell(3)]
        found = {
            "RNN": (layers.RNN(layers.SimpleRNNCell(3)), "line"),
            "StackedRNNCells": (layers.RNN(layers.StackedRNNCells(cells)), "line"),
            "Bidirectional": (layers.Bidirectional(layers.GRU(3)), "line"),
            "TimeDistributed": (layers.TimeDistributed(layers.Conv1D(2, 3)), "plane"),
            "SpectralNormalization": (layers.SpectralNormalization(layers.Conv2D(4, 3)), "plane"),
            "Lambda": (layers.Lambda(lambda x: x * 2), "row"),
        }
    return found


def built(planned):
    """Return a model of parallel layers, and its inputs."""
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(1)
    starts = {}
    for _, given in planned.values():
        value = INPUTS[given]
        dtype = "string" if value.dtype == object else value.dtype.name
        starts.setdefault(given, keras.Input(value.shape[1:], dtype=dtype, name=given))
    outputs = {}
    for key, (layer, given) in planned.items():
        start = starts[given]
        if key in ("MultiHeadAttention", "GroupQueryAttention"):
            outputs[key] = layer(start, start)
        else:
            outputs[key] = layer([start, start * 0.5] if key in PAIRS else start)
    model = keras.Model(starts, outputs)
    for weight in model.weights:
        if len(weight.shape) == 1 and weight.dtype == "float32":
            weight.assign(weight + RNG.uniform(0, 0.5, weight.shape))
    return model, {name: INPUTS[name] for name in starts}


def check(model, inputs, tmp_path):
    given = {name: tf.constant(value) for name, value in inputs.items()}
    wanted = {n: np.asarray(v) for n, v in model(given, training=False).items()}
    artifact = fh.freeze_keras_model(model, str(tmp_path / "model.pb"))
    assert_same(run(fh.to_onnx()(artifact), inputs), wanted, 1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_layers(name, tmp_path):
    check(*built(plan(name)), tmp_path)


def test_activations(tmp_path):
    keras = importlib.import_module("keras")
    found = {}
    for name in dir(keras.activations):
        function = getattr(keras.activations, name)
        if not callable(function) or name in ("get", "serialize", "deserialize"):
            continue
        if name == "threshold":
            function = lambda x: keras.activations.threshold(x, 0.1, -1.0)  # noqa: E731
        found[name] = keras.layers.Activation(function), "line"
    rough = lambda x: keras.activations.gelu(x, approximate=True)  # noqa: E731
    found["gelu_approximate"] = keras.layers.Activation(rough), "line"
    check(*built(found), tmp_path)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy, tmp_path):
    keras, layers = importlib.import_module("keras"), layers_of()
    keras.utils.set_random_seed(1)
    start = keras.Input((8, 8, 3), name="colours")
    x = layers.Conv2D(4, 3, dtype=policy)(start)
    x = layers.BatchNormalization(dtype=policy)(x)
    x = layers.Reshape((6, 24), dtype=policy)(layers.Activation("gelu", dtype=policy)(x))
    x = layers.LayerNormalization(dtype=policy)(x)
    x = layers.Add(dtype=policy)([x, layers.MultiHeadAttention(2, 4, dtype=policy)(x, x)])
    model = keras.Model(start, layers.Dense(3, dtype="float32")(layers.GRU(4, dtype=policy)(x)))
    x = INPUTS["colours"]
    artifact = fh.freeze_keras_model(model, str(tmp_path / "mixed.pb"))
    (got,) = run(fh.to_onnx()(artifact), {"colours": x}).values()
    room = 0.002 if policy == "mixed_float16" else 0.05
    np.testing.assert_allclose(got, model(x, training=False), atol=room)


@pytest.mark.parametrize("key", list(REFUSED))
def test_what_cannot_be_converted_is_named(key, tmp_path):
    keras = importlib.import_module("keras")
    given, named, said = REFUSED[key]
    value = INPUTS[given][:, :1] if key == "TextVectorization" else INPUTS[given]
    dtype = "string" if value.dtype == object else value.dtype.name
    start = keras.Input(value.shape[1:], dtype=dtype, name="given")
    layer = getattr(keras.layers, key)(**named)
    column = start[:, :1] if key == "HashedCrossing" else start
    made = layer((column, column)) if key == "HashedCrossing" else layer(start)
    artifact = fh.freeze_keras_model(keras.Model(start, made), str(tmp_path / "refused.pb"))
    with pytest.raises(fh.ConversionError, match=f"node '.*{said}|{said}.*node '"):
        fh.to_onnx()(artifact)


def test_none_is_left_out():
    layers = layers_of()
    known = {*PAIRS, *ALONE, *DROPPING, *IMAGES, *FACTORS, *FEW, *REFUSED, *OTHERS, *ELSEWHERE}
    known |= {*NO_MODELS, *UNUSABLE, *(f"Conv{rank}DTranspose" for rank in RANKS)}
    known |= {f"{kind}{rank}D" for kind in RANKED for rank in RANKS}
    there = {
        name
        for name, layer in vars(layers).items()
        if isinstance(layer, type) and issubclass(layer, layers.Layer) and layer.__name__ == name
    }
    assert there <= known
