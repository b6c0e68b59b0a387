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


def mutable():
    made = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    made.insert(["x", "y"], tf.constant([1, 2], tf.int64))
    return made


WORD = tf.TensorSpec([None], tf.string, "word")


def looked_up(clean, path):
    return clean.run(path, {"word:0": WORDS}, ["id:0"])[0].tolist()


def test_a_mutable_table_is_read_at_each_write(clean, tmp_path):
    words, numbers = mutable(), of_numbers()

    @tf.function(input_signature=[WORD])
    def lookup(word):
        return {"id": words.lookup(word), "text": numbers.lookup(10 * words.lookup(word))}

    plan = fh.plan_function(lookup, verify={"word": WORDS})
    plan.write(str(tmp_path / "before.pb"))
    words.insert(["no", "x"], tf.constant([7, 8], tf.int64))
    plan.write(str(tmp_path / "after.pb"))
    for _ in range(2):
        assert looked_up(clean, tmp_path / "before.pb") == [2, -1, 1]
        assert looked_up(clean, tmp_path / "after.pb") == [2, 7, 8]
    text = clean.run(tmp_path / "after.pb", {"word:0": WORDS}, ["text:0"])[0]
    assert text.tolist() == [b"twenty", b"?", b"?"]


def test_a_mutable_table_of_a_saved_model(clean, tmp_path):
    module = tf.Module()
    module.words = mutable()
    module.lookup = tf.function(lambda word: {"id": module.words.lookup(word)}, [WORD])
    tf.saved_model.save(module, str(tmp_path / "saved"), module.lookup)
    fh.freeze_saved_model(str(tmp_path / "saved"), str(tmp_path / "m.pb"))
    assert looked_up(clean, tmp_path / "m.pb") == [2, -1, 1]


@pytest.mark.parametrize("nested", [False, True])
def test_a_look_up_after_an_insertion_is_refused(nested):
    words = mutable()

    def insert(word):
        words.insert(word, tf.zeros_like(word, tf.int64))

    inserting = tf.function(insert) if nested else insert

    def changing(word):
        inserting(word)
        return words.lookup(word)

    def changed_later(word):
        found = words.lookup(word)
        inserting(word)
        return found

    with pytest.raises(fh.NotFreezableError, match="after LookupTableInsertV2"):
        fh.plan_function(changing, input_signature=[WORD])
    fh.plan_function(changed_later, input_signature=[WORD])


def test_other_tables_are_refused():
    of_pairs = tf.lookup.experimental.MutableHashTable(
        tf.string, tf.int64, tf.constant([0, 0], tf.int64)
    )
    of_pairs.insert(["x"], tf.constant([[1, 2]], tf.int64))
    dense = tf.lookup.experimental.DenseHashTable(tf.string, tf.int64, -1, "", "-")
    dense.insert(["x"], tf.constant([1], tf.int64))
    for made in (of_pairs, dense):
        with pytest.raises(fh.NotFreezableError, match="only StaticHashTables and Mutable"):
            fh.plan_function(made.lookup, input_signature=[WORD])
