"""Layers and models of a user's own, in a module that another process can import."""

import importlib

import keras


class Native(keras.layers.Layer):
    """Computes by a function of the backend's own module, instead of keras.ops."""

    def __init__(self, module, **more):
        super().__init__(**more)
        self.module = module

    def call(self, x):
        return importlib.import_module(self.module).tanh(x)

    def get_config(self):
        return dict(super().get_config(), module=self.module)


class Gated(keras.Model):
    """A subclassed model, which is built by its first call."""

    def __init__(self, units, **more):
        super().__init__(**more)
        self.units = units
        self.gate = keras.layers.Dense(units, activation="sigmoid")
        self.body = keras.layers.Dense(units)
        self.noise = keras.layers.Dropout(0.2)

    def call(self, x, training=False):
        return self.noise(self.gate(x) * self.body(x), training=training)

    def get_config(self):
        return dict(super().get_config(), units=self.units)


class Tempered(keras.layers.Layer):
    """Has a number that callbacks anneal, and of which its config says nothing."""

    def __init__(self, **more):
        super().__init__(**more)
        self.temperature, self.seen = 4.0, 0

    def call(self, x):
        return keras.ops.softmax(x / self.temperature)
