"""Small models of Keras's own layers."""

import numpy as np
import tensorflow as tf
from zoo_base import BATCH, Case, data, entry, ids, sequential, stir


@entry()
def lstm(keras):
    layers = keras.layers
    return sequential(
        keras, data(5, 4), layers.LSTM(6, return_sequences=True), layers.LSTM(5), layers.Dense(2)
    )


@entry()
def gru(keras):
    layers = keras.layers
    return sequential(
        keras, data(5, 4), layers.GRU(6, return_sequences=True), layers.GRU(5, go_backwards=True)
    )


@entry()
def bidirectional(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(5, 4),
        layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
        layers.Bidirectional(layers.GRU(3), merge_mode="ave"),
    )


@entry()
def unrolled(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(5, 4),
        layers.LSTM(6, unroll=True, return_sequences=True),
        layers.SimpleRNN(3, unroll=True),
    )


@entry()
def stacked_cells(keras):
    layers = keras.layers
    cells = [layers.LSTMCell(6), layers.GRUCell(5)]
    return sequential(keras, data(5, 4), layers.RNN(cells), layers.Dense(2))


@entry()
def stateful(keras):
    layers = keras.layers
    start = keras.Input(batch_shape=(BATCH, 5, 4), name="features")
    middle = layers.GRU(6, stateful=True, return_sequences=True)(start)
    model = stir(keras.Model(start, layers.LSTM(3, stateful=True)(middle)))
    return Case(model, data(5, 4))


@entry()
def conv_lstm(keras):
    layers = keras.layers
    return sequential(keras, data(3, 6, 6, 2), layers.ConvLSTM2D(4, 3), layers.Flatten())


@entry()
def masked(keras):
    layers = keras.layers
    return sequential(
        keras,
        ids(9, 6),
        layers.Embedding(9, 4, mask_zero=True),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.GRU(3),
    )


@entry("layers.MultiHeadAttention")
def transformer(keras):
    layers = keras.layers
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 8, mask_zero=True)(tokens)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(layers.Add()([x, layers.Dropout(0.1)(attended)]))
    grown = layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
    x = layers.LayerNormalization(name="normed")(layers.Add()([x, grown]))
    pooled = layers.GlobalAveragePooling1D()(x)
    return Case(stir(keras.Model(tokens, layers.Dense(3, name="logits")(pooled))), ids(9, 6))


@entry("layers.TextVectorization")
def text_vectorization(keras):
    layers = keras.layers
    texts = tf.constant([["The cat sat."], ["a dog, a DOG!"], ["no such words"]])
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=6)
    vectorize.adapt(["the cat sat on a mat", "a dog ate the cat"])
    embed = layers.Embedding(20, 4, mask_zero=True)
    return sequential(keras, texts, vectorize, embed, layers.LSTM(3), layers.Dense(2))


@entry("layers.TextVectorization")
def text_counts(keras):
    layers = keras.layers
    texts = tf.constant([["the cat sat"], ["a dog a dog"], ["no such words"]])
    vectorize = layers.TextVectorization(max_tokens=20, ngrams=2, output_mode="tf_idf")
    vectorize.adapt(["the cat sat on a mat", "a dog ate the cat"])
    return sequential(keras, texts, vectorize, layers.Dense(2))


@entry("layers.StringLookup")
def string_lookup(keras):
    layers = keras.layers
    words = tf.constant([["red", "blue"], ["green", "pink"], ["blue", "blue"]])
    look_up = layers.StringLookup(vocabulary=["red", "green", "blue"])
    encode = layers.CategoryEncoding(num_tokens=look_up.vocabulary_size(), output_mode="multi_hot")
    return sequential(keras, words, look_up, encode, layers.Dense(2))


@entry("layers.IntegerLookup")
def integer_lookup(keras):
    layers = keras.layers
    numbers = np.array([[7, 1], [5, 8], [3, 9]], np.int64)
    look_up = layers.IntegerLookup(vocabulary=[3, 5, 7], num_oov_indices=2, mask_token=0)
    return sequential(keras, numbers, look_up, layers.Embedding(8, 3), layers.Flatten())


@entry("layers.Hashing")
def hashing(keras):
    layers = keras.layers
    words = tf.constant([["red", "blue"], ["green", "pink"], ["blue", "blue"]])
    return sequential(keras, words, layers.Hashing(8), layers.Embedding(8, 3), layers.Flatten())


@entry("layers.Rescaling")
def preprocessing(keras):
    layers = keras.layers
    normalize = layers.Normalization()
    normalize.adapt(data(8, 8, 3) * 3 + 1)
    return sequential(
        keras,
        data(8, 8, 3),
        layers.Rescaling(1.5, offset=-0.2),
        normalize,
        layers.Resizing(6, 6),
        layers.RandomFlip(),
        layers.RandomRotation(0.2),
        layers.RandomContrast(0.3),
        layers.Conv2D(4, 3),
        layers.GlobalAveragePooling2D(),
    )


def _mixed(keras, policy):
    layers = keras.layers
    keras.mixed_precision.set_global_policy(policy)
    try:
        return sequential(
            keras,
            data(8, 8, 3),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, dtype="float32"),
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")


@entry("mixed_precision.set_global_policy")
def mixed_float16(keras):
    return _mixed(keras, "mixed_float16")


@entry("mixed_precision.set_global_policy")
def mixed_bfloat16(keras):
    return _mixed(keras, "mixed_bfloat16")


@entry()
def dropouts(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(5, 4),
        layers.Dropout(0.5, seed=3),
        layers.GaussianNoise(0.3),
        layers.SpatialDropout1D(0.5),
        layers.LSTM(3, dropout=0.5, recurrent_dropout=0.2),
    )


@entry()
def convolutions(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(8, 8, 3),
        layers.SeparableConv2D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.Conv2DTranspose(5, 3, strides=2),
        layers.DepthwiseConv2D(3, dilation_rate=2),
        layers.PReLU(shared_axes=[1, 2]),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.LayerNormalization(),
        layers.ELU(),
        layers.GlobalMaxPooling2D(),
    )


@entry()
def volumes(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(4, 6, 6, 2),
        layers.Conv3D(3, 2),
        layers.BatchNormalization(),
        layers.MaxPooling3D(2, strides=1),
        layers.Conv3DTranspose(2, 2),
        layers.TimeDistributed(layers.Conv2D(2, 3)),
        layers.TimeDistributed(layers.Flatten()),
        layers.Conv1D(4, 2, padding="causal"),
        layers.BatchNormalization(),
        layers.SeparableConv1D(3, 2),
        layers.TimeDistributed(layers.Dense(2)),
    )


@entry("layers.GroupNormalization")
def normalizations(keras):
    layers = keras.layers
    return sequential(
        keras,
        data(8, 8, 4),
        layers.GroupNormalization(2),
        layers.Conv2D(4, 3),
        layers.UnitNormalization(),
        layers.Flatten(),
        layers.Dense(3),
    )


@entry("layers.SpectralNormalization", "ops")  # tf_keras 2.21 fails to build it
def spectral(keras):
    layers = keras.layers
    normalized = layers.SpectralNormalization(layers.Conv2D(4, 3))
    return sequential(keras, data(8, 8, 3), normalized, layers.Flatten(), layers.Dense(3))
