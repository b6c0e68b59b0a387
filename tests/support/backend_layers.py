"""Layers and models of a user's own, in a module that another process can import."""

import importlib
import os

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


SLOPE = 3.0


def act(x):
    return x * keras.ops.sigmoid(SLOPE * x)


def times(factor):
    def scaled(x):
        return act(x) * factor

    return scaled


class Locals:
    """Classes that no other process can import; each has its own needs."""

    def __init__(self, lock=None):
        class Base(keras.layers.Layer):
            def __init__(self, start=2.0, **more):
                super().__init__(**more)
                self.start = start

            def build(self, shape):
                self.scale = self.add_weight(shape=shape[-1:], initializer=Start(), name="scale")

            def call(self, x):
                return act(x) * self.scale

            def get_config(self):
                return dict(super().get_config(), start=self.start)

        class Start(keras.initializers.Initializer):
            def __call__(self, shape, dtype=None, **more):
                return keras.ops.ones(shape, dtype) * 0.5

            def get_config(self):
                return {}

        @keras.saving.register_keras_serializable("tests")
        class Derived(Base):
            def call(self, x):
                return super().call(x) + self.start

        class Locked(keras.layers.Layer):
            def call(self, x):
                with lock:
                    return x

        class Undefined(keras.layers.Layer):
            def call(self, x):
                if keras.backend.backend() == "tensorflow":
                    return no_such_function(x)  # noqa: F821
                return x

        class Dying(keras.layers.Layer):
            def call(self, x):
                if keras.backend.backend() == "tensorflow":
                    os.abort()
                return x

        self.Base, self.Derived, self.Locked = Base, Derived, Locked
        self.Undefined, self.Dying, self.Start = Undefined, Dying, Start


class Pictures(keras.Model):
    """Takes images of bytes for 0 to 1, and those of floating numbers as they are."""

    def __init__(self, **more):
        super().__init__(**more)
        self.conv = keras.layers.Conv2D(3, 3, padding="same")
        self.norm = keras.layers.BatchNormalization()
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(10, activation="softmax")

    def call(self, x, training=False):
        scale = 255.0 if keras.backend.standardize_dtype(x.dtype) == "uint8" else 1.0
        x = self.conv(keras.ops.cast(x, "float32") / scale)
        return self.head(self.pool(self.norm(x, training=training)))
