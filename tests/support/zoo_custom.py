"""Models of models, of many inputs and outputs, and of layers that are not Keras's."""

import tensorflow as tf
from zoo_base import Case, data, entry, sequential, stir


@entry()
def nested(keras):
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, activation="relu"), layers.BatchNormalization()],
        name="inner",
    )
    start = keras.Input((6,))
    middle = keras.Model(start, layers.Dense(4)(inner(start)), name="middle")
    one, two = keras.Input((6,), name="one"), keras.Input((6,), name="two")
    joined = layers.Concatenate()([middle(one), middle(two), inner(one)])
    return Case(
        stir(keras.Model([one, two], layers.Dense(2, name="score")(joined))), [data(6), data(6) / 2]
    )


@entry()
def many_ends(keras):
    layers = keras.layers
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    shared = layers.Dense(3, name="shared")
    mixed = layers.Add()([shared(shared(layers.Dense(3)(left))), right])
    outputs = [layers.Dense(2, name="classes")(mixed), layers.Dense(1, name="value")(mixed), mixed]
    return Case(stir(keras.Model([left, right], outputs)), [data(4), data(3)])


@entry("ops")
def structures(keras):
    layers = keras.layers
    given = {
        "image": keras.Input((4,), name="picture"),
        "meta": (keras.Input((3,), name="age"), keras.Input((2,), name="size")),
    }
    joined = layers.Concatenate()([given["image"], given["meta"][0], given["meta"][1]])
    made = {"mask": layers.Dense(2)(joined), "boxes": {"a": joined, "b": layers.Dense(3)(joined)}}
    return Case(stir(keras.Model(given, made)), {"image": data(4), "meta": (data(3), data(2))})


@entry()
def subclassed(keras):
    layers = keras.layers

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(5, activation="relu")
            self.norm = layers.BatchNormalization()
            self.last = layers.Dense(2)

        def call(self, inputs, training=False):
            return self.last(self.norm(self.hidden(inputs), training=training))

    model = Net()
    model.predict(data(4))
    return Case(stir(model), data(4))


@entry("ops")
def subclassed_signature(keras):
    layers = keras.layers

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.last = layers.Dense(5), layers.Dense(2)

        def call(self, inputs):
            hidden = self.hidden(tf.concat([inputs["left"], inputs["right"]], 1))
            return {"probs": tf.nn.softmax(self.last(hidden)), "hidden": hidden}

    inputs = {"left": data(4), "right": data(3)}
    signature = {key: tf.TensorSpec([None, x.shape[1]]) for key, x in inputs.items()}
    return Case(Net(), inputs, signature)


@entry()
def lambdas(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(4),
        layers.Lambda(lambda x: tf.concat([x, tf.square(x)], 1)),
        layers.Dense(3),
        layers.Lambda(tf.nn.l2_normalize, arguments={"axis": 1}),
    )


@entry()
def control_flow(keras):
    layers = keras.layers

    class Settle(layers.Layer):
        """Doubles what is small, and applies its weights until a norm is passed."""

        def build(self, shape):
            self.w = self.add_weight(name="w", shape=(4, 4), initializer="glorot_uniform")
            super().build(shape)

        def call(self, x):
            small = tf.reduce_max(tf.abs(x)) < 10.0
            x = tf.cond(small, lambda: 2.0 * x, lambda: tf.matmul(x, self.w))
            size = lambda i, x: tf.logical_and(i < 5, tf.reduce_max(tf.abs(x)) < 50.0)  # noqa: E731
            step = lambda i, x: (i + 1, x + tf.abs(tf.matmul(x, self.w)))  # noqa: E731
            shapes = [tf.TensorShape([]), tf.TensorShape([None, 4])]
            return tf.while_loop(size, step, [0, x], shape_invariants=shapes)[1]

        def compute_output_shape(self, shape):
            return shape

    return sequential(keras, data(4), Settle(), layers.Dense(2))


def _sampling(keras, draws):
    class Sample(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed = keras.random.SeedGenerator(5)

        def call(self, x):
            for _ in range(draws):
                x = x + keras.random.normal(keras.ops.shape(x), seed=self.seed)
            return x

    return sequential(keras, data(4), keras.layers.Dense(3), Sample())


@entry("random.SeedGenerator")
def sampling(keras):
    return _sampling(keras, 1)


@entry("random.SeedGenerator")
def sampling_twice(keras):
    return _sampling(keras, 2)
