"""Keras models for the measured trainings, each with a batch."""

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.RandomState(0)


def _images(size, batch, channels=3):
    return RANDOM.uniform(-1, 1, (batch, size, size, channels)).astype(np.float32)


def digits():
    """Build a conv net with batch norm for images of 8 x 8."""
    layers = keras.layers
    stack = [layers.Input((8, 8, 1))]
    for filters in (32, 64):
        stack += [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.ReLU()]
    stack += [layers.Flatten(), layers.Dense(10, activation="softmax")]
    return keras.Sequential(stack), _images(8, 32, 1)


def mobilenet_v2():
    """Build MobileNetV2: 262 variables, 14 MB."""
    return keras.applications.MobileNetV2(weights=None), _images(224, 1)


def resnet50():
    """Build ResNet50: 320 variables, 103 MB."""
    return keras.applications.ResNet50(weights=None), _images(224, 1)


def vgg16():
    """Build VGG16: 32 variables, 553 MB."""
    return keras.applications.VGG16(weights=None), _images(224, 1)


def embedding():
    """Build a model with one matrix of 1 GB, for which the v2 route takes 10 GB of memory."""
    ids = keras.Input((8,), dtype="int32", name="ids")
    mean = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(1 << 20, 256)(ids))
    model = keras.Model(ids, keras.layers.Dense(8, activation="softmax")(mean))
    return model, RANDOM.randint(0, 100, (4, 8)).astype(np.int32)


def lstm():
    """Build an LSTM of 100 steps, which is a loop."""
    series = keras.Input((100, 64), name="series")
    state = keras.layers.LSTM(256)(series)
    model = keras.Model(series, keras.layers.Dense(10, activation="softmax")(state))
    return model, RANDOM.uniform(-1, 1, (4, 100, 64)).astype(np.float32)


def bert(depth=12, width=768, heads=12, words=30522, length=128):
    """Build a transformer encoder of the size of BERT-base (Devlin et al. 2018)."""
    layers = keras.layers
    ids = keras.Input((length,), dtype="int32", name="ids")
    h = layers.LayerNormalization()(layers.Embedding(words, width)(ids))
    for _ in range(depth):
        mixed = layers.MultiHeadAttention(heads, width // heads)(h, h)
        h = layers.LayerNormalization()(layers.Add()([h, mixed]))
        inner = layers.Dense(4 * width, activation="gelu")(h)
        h = layers.LayerNormalization()(layers.Add()([h, layers.Dense(width)(inner)]))
    answer = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(h))
    return keras.Model(ids, answer), RANDOM.randint(0, words, (1, length)).astype(np.int32)


def table(words=100_000, width=64):
    """Build a text model with a vocabulary, which is a table."""
    layers = keras.layers
    lookup = layers.StringLookup(vocabulary=[f"word{i}" for i in range(words)])
    text = keras.Input((32,), dtype="string", name="text")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(words + 1, width)(lookup(text)))
    model = keras.Model(text, layers.Dense(10, activation="softmax")(pooled))
    numbers = RANDOM.randint(0, words, (8, 32))
    return model, tf.constant([[f"word{i}" for i in row] for row in numbers]).numpy()


MODELS = {
    make.__name__: make
    for make in (digits, mobilenet_v2, resnet50, vgg16, embedding, lstm, bert, table)
}


def build(name):
    """Return (model, batch) of the model called `name`."""
    return MODELS[name]()


class Trained:
    """A model that was trained for a step, with its batch; callbacks `begin` their training."""

    def __init__(self, name):
        self.model, self.x = build(name)
        self.y = np.zeros([len(self.x)], np.int32)
        self.model.compile("sgd", "sparse_categorical_crossentropy")
        self.train()

    def train(self):
        """Train one step, which changes the values."""
        self.model.train_on_batch(self.x, self.y)

    def begin(self, callback):
        """Do what fit does with a callback before the first batch, and return it."""
        callback.set_model(self.model)
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        return callback
