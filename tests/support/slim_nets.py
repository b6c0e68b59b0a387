"""tf-slim's nets."""

import tensorflow as tf
import tf_slim as slim
from tf_slim.layers import utils
from tf_slim.nets import alexnet, inception, overfeat, resnet_v1, resnet_v2, vgg

v1 = tf.compat.v1


CLASSES = 10


if not hasattr(utils.ops, "Tensor"):  # tf-slim 1.1 looks here; newer TensorFlow has moved it
    utils.ops.Tensor = tf.Tensor


# Fused, and with a list here, slim's batch norm needs nothing that TensorFlow lost with Keras 2.
NORM = {
    "decay": 0.9,
    "epsilon": 1e-3,
    "scale": True,
    "fused": True,
    "updates_collections": [v1.GraphKeys.UPDATE_OPS],
}


# name: (net, its arguments' scope, size of images, more arguments). Those that pool over windows of
# a fixed size need what they were made for; the others get images of which 2x2 pixels are left.
NETS = {
    "resnet_v1_50": (resnet_v1.resnet_v1_50, resnet_v1.resnet_arg_scope, 64, {}),
    "resnet_v2_50": (resnet_v2.resnet_v2_50, resnet_v2.resnet_arg_scope, 64, {}),
    "inception_v1": (inception.inception_v1, inception.inception_v1_arg_scope, 224, {}),
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope, 64, {}),
    "inception_v3": (inception.inception_v3, inception.inception_v3_arg_scope, 107, {}),
    "vgg_16": (vgg.vgg_16, vgg.vgg_arg_scope, 224, {}),
    "alexnet_v2": (alexnet.alexnet_v2, alexnet.alexnet_v2_arg_scope, 224, {}),
    "overfeat": (overfeat.overfeat, overfeat.overfeat_arg_scope, 231, {}),
}


def logits_of(name, images, is_training):
    net, scope, _, more = NETS[name]
    with slim.arg_scope(scope()), slim.arg_scope([slim.batch_norm], **NORM), slim.arg_scope(
        [slim.conv2d], normalizer_params=NORM
    ):
        logits = net(images, num_classes=CLASSES, is_training=is_training, **more)[0]
    return tf.reshape(logits, [-1, CLASSES])
