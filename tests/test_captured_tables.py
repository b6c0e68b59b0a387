"""Lookup tables that functions and Keras models capture."""

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, keras_of

import freeze_hooks as fh
from freeze_hooks import graph_util

pytestmark = pytest.mark.skipif(TF1, reason="works eagerly; functions.py does on TensorFlow 1")
WORDS = np.array([b"y", b"no", b"x"])
NUMBERS = np.array([20, 10, 5], np.int64)


def table(keys, values, default):
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default)


def of_words():
    return table(["x", "y"], tf.constant([1, 2], tf.int64), 0)


def of_numbers():
    return table(tf.constant([10, 20], tf.int64), ["ten", "twenty"], "?")


def of_floats():
    return table(tf.constant([10, 20], tf.int64), [0.5, 1.5], -1.0)


@pytest.mark.parametrize("turned", [False, True])
def test_tables_of_several_types_in_one_function(turned, clean, tmp_path):
    words, numbers, floats = of_words(), of_numbers(), of_floats()

    def looked_up(word, number):
        found = {"word": lambda: words.lookup(word), "number": lambda: numbers.lookup(number)}
        found["float"] = lambda: floats.lookup(number)
        return {key: found[key]() for key in sorted(found, reverse=turned)}

    specs = [tf.TensorSpec([None], tf.string, "word"), tf.TensorSpec([None], tf.int64, "number")]
    path = tmp_path / "f.pb"
    fh.freeze_function(looked_up, str(path), input_signature=specs)
    fetches = ["word_1:0", "number_1:0", "float:0"]
    word, number, scale = clean.run(path, {"word:0": WORDS, "number:0": NUMBERS}, fetches)
    assert word.tolist() == [2, 0, 1]
    assert number.tolist() == [b"twenty", b"ten", b"?"]
    assert scale.tolist() == [1.5, 0.5, -1.0]


def test_convert_variables_to_constants_v2():
    words, numbers = of_words(), of_numbers()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def there_and_back(word):
        return numbers.lookup(10 * words.lookup(word))

    concrete = there_and_back.get_concrete_function()
    frozen = graph_util.convert_variables_to_constants_v2(concrete)
    assert frozen(tf.constant(WORDS))[0].numpy().tolist() == [b"twenty", b"?", b"ten"]


@pytest.mark.parametrize("turned", [False, True])
def test_look_up_layers_of_several_types(turned, clean, tmp_path):
    keras = keras_of(KERASES[0])
    a, b = keras.Input((1,), dtype="string", name="a"), keras.Input((1,), dtype="int64", name="b")
    word = keras.layers.StringLookup(vocabulary=["x", "y"], name="word")(a)
    number = keras.layers.IntegerLookup(vocabulary=[10, 20], name="number")(b)
    back = keras.layers.StringLookup(vocabulary=["x", "y"], invert=True, name="back")(word)
    ends = [number, word, back] if turned else [back, word, number]
    model = keras.Model([b, a] if turned else [a, b], ends)
    fh.freeze_keras_model(model, str(tmp_path / "k.pb"))
    feeds = {"a:0": WORDS.reshape(3, 1), "b:0": NUMBERS.reshape(3, 1)}
    found = clean.run(tmp_path / "k.pb", feeds, ["word:0", "number:0", "back:0"])
    assert [each.ravel().tolist() for each in found] == [
        [2, 0, 1],
        [2, 1, 0],
        [b"y", b"[UNK]", b"x"],
    ]
