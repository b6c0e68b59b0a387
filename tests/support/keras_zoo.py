"""Keras models of every kind, small, with inputs for them: for keras, tf_keras and TF 1's tf.keras.

`build(keras, name)` builds one of `names(keras)`.
"""

import functools

import numpy as np
import zoo_custom  # noqa: F401  # registers its models
import zoo_layers  # noqa: F401
from zoo_base import BATCH, BUILDERS, Case, answers, build, difference, feeds, names, spread, stir

__all__ = ["APPLICATIONS", "RANDOM", "answers", "build", "difference", "feeds", "names", "spread"]

RANDOM = ("sampling", "sampling_twice")  # models whose answers have noise in them

# module of keras.applications: (smallest member, image size, options)
APPLICATIONS = {
    "convnext": ("ConvNeXtTiny", 32, {}),
    "densenet": ("DenseNet121", 32, {}),
    "efficientnet": ("EfficientNetB0", 32, {}),
    "efficientnet_v2": ("EfficientNetV2B0", 32, {}),
    "inception_resnet_v2": ("InceptionResNetV2", 75, {}),
    "inception_v3": ("InceptionV3", 107, {}),  # at 75 its last norms see one pixel
    "mobilenet": ("MobileNet", 32, {"alpha": 0.25}),
    "mobilenet_v2": ("MobileNetV2", 32, {"alpha": 0.35}),
    "mobilenet_v3": ("MobileNetV3Small", 32, {"alpha": 0.75}),
    "nasnet": ("NASNetMobile", 32, {}),
    "regnet": ("RegNetX002", 32, {}),
    "resnet": ("ResNet50", 32, {}),
    "resnet_rs": ("ResNetRS50", 32, {}),
    "resnet_v2": ("ResNet50V2", 32, {}),
    "vgg16": ("VGG16", 32, {}),
    "vgg19": ("VGG19", 32, {}),
    "xception": ("Xception", 71, {}),
}
_PIXELS = ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3", "regnet", "resnet_rs")


def application(module, keras):
    """A member of keras.applications."""
    member, size, options = APPLICATIONS[module]
    random = np.random.RandomState(0)
    tints, noise = random.uniform(-1, 1, (12, 1, 1, 3)), random.uniform(-1, 1, (12, size, size, 3))
    images = ((tints + noise) / 2).astype(np.float32)
    if module in _PIXELS:  # these bring their own scaling
        images = (images + 1) * 127.5
    make = getattr(keras.applications, member)
    model = make(weights=None, input_shape=(size, size, 3), classes=10, **options)
    return Case(stir(model, images), images[:BATCH])


for _module, (_member, _, _) in APPLICATIONS.items():
    BUILDERS[_module] = functools.partial(application, _module), ("applications." + _member,)
