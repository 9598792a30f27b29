"""`Classifier`: a network as a `keras.Model` that says its classes and rebuilds itself, and one function a network."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from classify_prune import networks
from classify_prune.metrics import softmax
from run_tools import saved
from run_tools.errors import InputError


@keras.saving.register_keras_serializable(package="classify_prune")
class Classifier(keras.Model):
    """Images or feature vectors to logits, (batch, classes); `probabilities` for what they mean.

    Made by `resnet18`, `lenet5` and `mlp`. It learns under plain `compile`/`fit` with
    `SparseCategoricalCrossentropy(from_logits=True)`.

    Args:
        architecture: "resnet18", "lenet5" or "mlp".
        num_classes: at least 2.
        inputs_shape: (H, W, 3) RGB or (H, W, 1) grey, both in 0–1, or (features,).
        widths: see `networks.resolve_widths`.
        dropout: of the hidden units of an "mlp", 0 up to but not including 1.
        mean: subtracted from the input inside the network, one a channel or feature; None: nothing is.
        deviation: what the rest is divided by, all above 0; given with `mean`.
        class_names: one a class; kept with the model.

    Raises:
        InputError: for arguments that do not fit.
    """

    def __init__(
        self,
        architecture: str,
        num_classes: int,
        inputs_shape: Sequence[int],
        widths: Sequence[int] | None = None,
        dropout: float = 0.0,
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
        class_names: Sequence[str] | None = None,
        **kwargs,
    ):
        if num_classes < 2:
            raise InputError(f"num_classes {num_classes}", "at least 2", "give the number of classes")
        if class_names is not None and len(class_names) != num_classes:
            raise InputError(f"{len(class_names)} class names", f"{num_classes}, one a class", "name every class once")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout {dropout}", "a number from 0 up to, but not including, 1", "for example 0.2")
        shape = _check_shape(architecture, inputs_shape)
        resolved = networks.resolve_widths(architecture, widths)
        mean, deviation = _check_standard(shape, mean, deviation)
        inputs, logits = networks.build(architecture, shape, num_classes, resolved, dropout, mean, deviation)
        kwargs.setdefault("name", architecture)
        super().__init__(inputs=inputs, outputs=logits, **kwargs)
        self.architecture = architecture
        self.num_classes = int(num_classes)
        self.inputs_shape = shape
        self.widths = resolved
        self.dropout = float(dropout)
        self.standard = None if mean is None or deviation is None else (tuple(mean), tuple(deviation))
        self.class_names = tuple(class_names) if class_names is not None else None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) of its images; None where it takes feature vectors."""
        return (self.inputs_shape[0], self.inputs_shape[1]) if len(self.inputs_shape) == 3 else None

    @property
    def grey(self) -> bool:
        """Whether its images are grey."""
        return len(self.inputs_shape) == 3 and self.inputs_shape[-1] == 1

    def get_config(self):
        """Everything needed to build the network again, and which layers are frozen."""
        mean, deviation = self.standard or (None, None)
        return {
            "name": self.name,
            "architecture": self.architecture,
            "num_classes": self.num_classes,
            "inputs_shape": list(self.inputs_shape),
            "widths": list(self.widths),
            "dropout": self.dropout,
            "mean": None if mean is None else list(mean),
            "deviation": None if deviation is None else list(deviation),
            "class_names": None if self.class_names is None else list(self.class_names),
            "frozen": saved.frozen(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The network of a `get_config`, without its weights."""
        return saved.from_config(cls, config)

    def resized(self, widths: Mapping[str, int]) -> "Classifier":
        """The same network with other widths and new weights: how `prune_tools.surgery` gives pruned ones their class.

        Args:
            widths: output channels by the names of the layers.
        """
        names = networks.network(self.architecture).names(self.widths)
        return self.from_config({**self.get_config(), "widths": [widths[name] for name in names]})

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """What the classes of one batch probably are.

        Args:
            inputs: (n, *inputs_shape); images float in 0–1 or uint8.

        Returns:
            float32, (n, classes), rows that add up to 1.

        Raises:
            InputError: for another shape than the network's.
        """
        batch = np.asarray(inputs)
        if batch.shape[1:] != self.inputs_shape:
            told = ", ".join(map(str, self.inputs_shape))
            raise InputError(f"inputs of shape {batch.shape}", f"(n, {told})", "see classify_prune.inputs")
        if batch.dtype == np.uint8:
            batch = batch.astype(np.float32) / 255.0
        # Under a distribution strategy every replica sees the whole batch and all their outputs come back.
        return softmax(self.predict_on_batch(batch)[: len(batch)])


def resnet18(
    num_classes: int,
    image_size: tuple[int, int] = (256, 256),
    widths: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
) -> Classifier:
    """ResNet-18, paper 000's network: RGB images in 0–1 to logits.

    Args:
        num_classes: at least 2.
        image_size: (height, width) in pixels, any.
        widths: four, one a stage (64, 128, 256, 512), or twelve (`networks.RESNET18_WIDTHS`).
        class_names: one a class.
        mean: of the colours, subtracted inside the network; the weights of ImageNet want `transfer.IMAGENET`'s.
        deviation: likewise, divided by.

    Returns:
        The network with new weights; `transfer.transfer` gives it others.

    Raises:
        InputError: for arguments that do not fit.
    """
    return Classifier("resnet18", num_classes, (*image_size, 3), widths, 0.0, mean, deviation, class_names)


def lenet5(
    num_classes: int = 10,
    image_size: tuple[int, int] = (32, 32),
    widths: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
) -> Classifier:
    """LeNet-5 with tanh and average pooling, paper 004's network: grey images in 0–1 to logits.

    The paper puts a sigmoid behind the last layer and names no loss; these are plain logits.

    Args:
        num_classes: at least 2.
        image_size: (height, width) in pixels, at least 32 each; larger ones make the third convolution leave more than
            one pixel.
        widths: of three convolutions and the dense layer (6, 16, 120, 84).
        class_names: one a class.
        mean: of the grey levels, subtracted inside the network; one number in a list.
        deviation: likewise, divided by.

    Raises:
        InputError: for arguments that do not fit.
    """
    return Classifier("lenet5", num_classes, (*image_size, 1), widths, 0.0, mean, deviation, class_names)


def mlp(
    features: int,
    num_classes: int,
    widths: Sequence[int] = networks.MLP_WIDTHS,
    dropout: float = 0.2,
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
) -> Classifier:
    """A dense network with ReLU: 2048–500–11 in paper 001, 2048–1024–1362 in paper 002.

    Args:
        features: length of an input vector.
        num_classes: at least 2.
        widths: one a hidden layer.
        dropout: share of the hidden units dropped while it learns.
        class_names: one a class.
        mean: of the features, subtracted inside the network.
        deviation: likewise, divided by.

    Raises:
        InputError: for arguments that do not fit.
    """
    return Classifier("mlp", num_classes, (features,), widths, dropout, mean, deviation, class_names)


def _check_shape(architecture: str, given: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(int(side) for side in given)
    least = networks.network(architecture).least
    if least == 0:
        if len(shape) != 1 or shape[0] < 1:
            raise InputError(f"inputs {given} for {architecture}", "vectors, one length", "use resnet18 for images")
        return shape
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape[:2]) < least:
        sized = f"(H, W, 3 or 1), sides of at least {least} pixels"
        raise InputError(f"inputs {given} for {architecture}", sized, "choose another size, or mlp for vectors")
    return shape


def _check_standard(
    shape: tuple[int, ...], mean: Sequence[float] | None, deviation: Sequence[float] | None
) -> tuple[list[float] | None, list[float] | None]:
    if mean is None and deviation is None:
        return None, None
    values = [np.asarray([] if value is None else value, np.float64).ravel() for value in (mean, deviation)]
    if any(len(value) != shape[-1] or not np.isfinite(value).all() for value in values) or not (values[1] > 0).all():
        raise InputError(
            f"mean and deviation of {len(values[0])} and {len(values[1])} numbers",
            f"{shape[-1]} finite ones each, deviations above 0",
            "give one a channel or feature",
        )
    return values[0].tolist(), values[1].tolist()
