"""Every option of the training of a backbone, declared once. Imports no TensorFlow."""

import dataclasses

from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError
from nst_keras.settings.command import Command
from nst_keras.settings.option import check_settings, options_of, section

SOURCES = ("cifar100", "csv", "folder")

# The groups of the help, in its order; each function declares options.
_data = section("data")
_file = section("data", path=True, hashed=True)
_network = section("network")
_training = section("training")
_output = section("output", changes_result=False)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All settings of one training; None stands for what `settle` or the data will decide.

    Raises InputError if a value is of the wrong type or out of range, or two do not go together.
    """

    cifar100: str | None = _file(
        None, "CIFAR-100: cifar-100-binary.tar.gz or its extracted folder."
    )
    csv: str | None = _file(
        None,
        "A CSV file in UTF-8 with a picture and its label per row; the first row names the "
        "columns.",
    )
    folder: str | None = _file(None, "A folder with one folder of pictures per class.")
    path_column: str = _data(
        "path", "--csv: the column with the paths of the pictures; .jpg may be left out."
    )
    label_column: str = _data(
        "label", "--csv: the column with the labels: texts, or numbers that start at 0."
    )
    image_root: str | None = _file(
        None, "--csv: the folder that paths are relative to.", unset="that of the CSV file"
    )
    classes: int = _data(
        0, "Number of classes; 0: as many as there are different labels.", (0, 100_000)
    )
    validation_csv: str | None = _file(
        None, "A CSV with the same columns to validate with, instead of a split."
    )
    validation_split: float = _data(
        0.1,
        "Share of each class that is kept for validation; 0: none, and the last weights are used.",
        (0, 0.9),
    )
    skip_unreadable: bool = _data(False, "Skip rows whose picture cannot be read.")
    image_size: int = _data(
        224,
        "Side, in pixels, that the central square of each picture is resized to.",
        (16, 2048),  # four poolings leave one position
    )
    flip: bool = _data(True, "Mirror half of the training pictures.")
    shift: float = _data(0.1, "Shift training pictures by up to this share of the side.", (0, 0.4))
    color: float = _data(
        0.1,
        "Change brightness, contrast and saturation of training pictures by up to this share.",
        (0, 0.9),
        former=("colour",),
    )
    seed: int = _data(0, "Seed of all random numbers.", (0, 2**31 - 1))

    backbone: str = _network("vgg19", "The network.", choices=tuple(sorted(vgg.BLOCKS)))
    width: float = _network(1.0, "Factor on the number of channels.", (0.01, 4))
    initial: str | None = _network(
        None,
        "Fine-tune from these convolutions: embedded (VGG19, part of the package) or a weights "
        "file, whose width and preprocessing are kept.",
        path=True,
        words=("embedded",),
        hashed=True,
    )
    batch_norm: bool = _network(
        None,
        "Batch normalization after each convolution; folded into the weights that are saved.",
        unset="true; with --initial, false",
    )
    head: str = _network(
        "average",
        "What the classifier sees: average, the mean of each feature over all positions; or "
        "flatten, every position, as in the paper.",
        choices=("average", "flatten"),
    )
    dense_units: int = _network(0, "Units of a dense layer before the output; 0: none.", (0, 65536))
    dropout: float = _network(0.3, "Share of the classifier's inputs dropped.", (0, 0.95))
    device: str = _network(
        "auto",
        "Where to compute. auto: on a GPU if TensorFlow sees one. gpu:1: on the second GPU, as "
        "nvidia-smi numbers them.",
        kind="device",
        changes_result=False,
    )
    precision: str = _network(
        "float32",
        "float32, or bfloat16 for convolutions and --dense_units; weights, batch normalization and "
        "loss stay float32.",
        choices=("float32", "bfloat16"),
    )
    distribute: str = _network(
        "none",
        "none, or mirrored: every batch is divided among all GPUs.",
        choices=("none", "mirrored"),
    )
    deterministic: bool = _network(
        False, "Make results on GPUs repeatable to the byte, at some cost; on CPUs they always are."
    )

    epochs: int = _training(20, "Passes over all pictures.", (1, 10**6))
    batch_size: int = _training(25, "Pictures per step.", (1, 65536))
    learning_rate: float = _training(
        None,
        "Step size of Adam.",
        (1e-9, 10),
        unset="1e-3, without batch norm 1e-4, with --initial 1e-5",
    )
    schedule: str = _training(
        "cosine",
        "Schedule of the learning rate: constant; or cosine, which falls toward 0.",
        choices=("constant", "cosine"),
    )
    warmup_steps: int = _training(
        0,
        "Steps at the start over which the learning rate rises from 0 to that of the schedule.",
        (0, 10**9),
    )
    patience: int = _training(
        0, "Stop after this many epochs without a better validation accuracy; 0: never.", (0, 10**6)
    )

    workdir: str | None = _output(
        None, "The folder for all output.", unset="runs/BACKBONE_DATA-XXXX", path=True
    )
    overwrite: bool = _output(False, "Replace a finished or different training.")
    log_every: int = _output(1, "Batches between rows of batches.csv.", (1, 10**9))
    checkpoint_every: int = _output(
        0, "Batches between checkpoints; 0: by time alone. Each epoch ends with one.", (0, 10**9)
    )
    checkpoint_minutes: float = _output(
        5.0, "Minutes between checkpoints; 0: by batches alone.", (0, 10**6)
    )
    tensorboard: bool = _output(False, "Also write accuracy and loss as TensorBoard events.")

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)
        if self.head == "flatten" and self.image_size < 32:  # a fifth pooling leaves one position
            raise InputError(
                f"--image_size={self.image_size}: must be at least 32 with --head=flatten"
            )


OPTIONS = options_of(TrainConfig)
COMMAND = Command(
    usage=(
        "Trains a VGG on labeled pictures; a run takes its weights as --weights.",
        "",
        "  nst train --folder=photos --width=0.5 --image_size=96",
        "  nst train --csv=labels.csv --label_column=breed",
        "  nst train --flagfile=configs/cifar100.cfg",
        "  nst train --workdir=runs/vgg19_photos-3f2a    (resumes)",
    ),
    options=OPTIONS,
)


def settle(config: TrainConfig) -> TrainConfig:
    """The same settings with nothing left open but the folder; InputError if some conflict."""
    given = [name for name in SOURCES if getattr(config, name)]
    if len(given) != 1:
        found = " and ".join(f"--{name}" for name in given) or "none"
        raise InputError(f"--cifar100, --csv, --folder: exactly one is needed, not {found}")
    if config.validation_csv and not config.csv:
        raise InputError(f"--validation_csv={config.validation_csv}: needs --csv")
    batch_norm = not config.initial if config.batch_norm is None else config.batch_norm
    if batch_norm and config.initial:
        raise InputError(
            "--batch_norm=true: must be false with --initial, whose convolutions were trained "
            "without it"
        )
    if config.initial and config.width != 1:
        raise InputError(
            f"--width={config.width:g}: must be 1 with --initial, which sets the width"
        )
    if config.initial == "embedded" and config.backbone != "vgg19":
        raise InputError(f"--backbone={config.backbone}: must be vgg19 with --initial=embedded")
    if config.patience and not config.validation_csv and not config.validation_split:
        raise InputError(f"--patience={config.patience}: needs --validation_split above 0")
    rate = config.learning_rate or (1e-5 if config.initial else 1e-3 if batch_norm else 1e-4)
    return dataclasses.replace(config, batch_norm=batch_norm, learning_rate=rate)
