"""Fourier transforms and complex numbers, which ONNX Runtime does not have."""

import numpy as np
import pytest
import tensorflow as tf
from onnx_answers import assert_same, converted, needs_onnx

import freeze_hooks as fh

pytestmark = needs_onnx
WAVES = np.random.RandomState(0).uniform(-1, 1, (3, 16)).astype(np.float32)


def test_transforms(tmp_path):
    signal, m = tf.signal, tf.math

    def functions(waves):
        bins = signal.rfft(waves)
        whole = signal.fft(tf.complex(waves, waves[:, ::-1]))
        back = signal.ifft(whole * tf.complex(0.5, -2.0))
        double = signal.rfft(tf.cast(waves, tf.float64))
        return {
            "spectrogram": tf.abs(signal.stft(waves, 8, 4)),
            "angle": m.angle(bins),
            "longer": tf.abs(signal.rfft(waves, [20])),
            "shorter": m.real(signal.rfft(waves, [9])),
            "there_and_back": signal.irfft(bins),
            "odd": signal.irfft(signal.rfft(waves, [9]), [9]),
            "istft": signal.inverse_stft(signal.stft(waves, 8, 4), 8, 4),
            "real": m.real(back),
            "imaginary": m.imag(back),
            "cosine": signal.dct(waves),
            "double": m.real(double),
        }

    wanted, got = converted(functions, {"waves": WAVES}, tmp_path)
    assert_same(got, wanted)


def test_arithmetic_and_shapes(tmp_path):
    def functions(waves):
        x, y = tf.complex(waves, waves[:, ::-1]), tf.complex(waves + 2, waves)
        moved = tf.transpose(tf.reshape(tf.concat([x, y], 1), [-1, 8, 4]), [0, 2, 1])[:, 1:]
        summed = tf.reduce_sum(tf.math.conj(x) * tf.exp(y) / (y - x), 1)
        constant = tf.cast(waves, tf.complex64) * tf.constant(1 + 2j, tf.complex64)
        return {
            "moved": tf.abs(tf.expand_dims(moved, 1)),
            "summed": tf.stack([tf.math.real(summed), tf.math.imag(summed)]),
            "constant": tf.math.imag(tf.square(constant)),
        }

    wanted, got = converted(functions, {"waves": WAVES}, tmp_path)
    assert_same(got, wanted)


def test_complex_ends_are_refused(tmp_path):
    with pytest.raises(fh.ConversionError, match=r"'y' is complex64.*tf\.math\.real"):
        converted(lambda x: {"y": tf.signal.rfft(x)}, {"x": WAVES}, tmp_path)
