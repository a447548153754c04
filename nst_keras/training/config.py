"""Every option of the training of a backbone, declared once. Imports no TensorFlow."""

import dataclasses

from nst_keras.network import vgg
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.option import check_settings, declare, defaults_of, options_of

SOURCES = ("cifar100", "csv", "folder")
MIN_SIDE = 16  # pixels: four poolings leave one position
MIN_SIDE_FLAT = 32  # pixels: a fifth pooling leaves one position


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All settings of one training; None stands for what `settle` or the data will decide.

    Raises:
        InputError: a value is of the wrong type or out of range, or two do not go together.
    """

    cifar100: str | None = declare(
        None,
        "data",
        "text",
        "CIFAR-100: cifar-100-binary.tar.gz or its extracted folder.",
        path=True,
    )
    csv: str | None = declare(
        None,
        "data",
        "text",
        "A CSV file in UTF-8 whose first row names the columns; a picture and its label a row.",
        path=True,
    )
    folder: str | None = declare(
        None, "data", "text", "A folder with a folder of pictures for each class.", path=True
    )
    path_column: str = declare(
        "path", "data", "text", "--csv: the column with the pictures' paths; .jpg may be missing."
    )
    label_column: str = declare(
        "label", "data", "text", "--csv: the column with the labels: texts, or numbers from 0 on."
    )
    image_root: str | None = declare(
        None,
        "data",
        "text",
        "--csv: the folder that paths start from. Not given: the CSV's own.",
        path=True,
    )
    classes: int = declare(
        0, "data", "int", "Number of classes; 0: as many as labels differ.", low=0, high=100_000
    )
    validation_csv: str | None = declare(
        None,
        "data",
        "text",
        "A CSV of the same columns to validate with, in place of a split.",
        path=True,
    )
    validation_split: float = declare(
        0.1,
        "data",
        "float",
        "Share of each class that is kept for validation; 0: none, and the last weights count.",
        low=0,
        high=0.9,
    )
    skip_unreadable: bool = declare(
        False, "data", "bool", "Leave out rows whose picture cannot be read, and go on."
    )
    image_size: int = declare(
        224,
        "data",
        "int",
        "Side in pixels that the central square of each picture is resized to.",
        low=MIN_SIDE,
        high=2048,
    )
    flip: bool = declare(True, "data", "bool", "Mirror half of the training pictures.")
    shift: float = declare(
        0.1,
        "data",
        "float",
        "Shift training pictures by up to this share of the side.",
        low=0,
        high=0.4,
    )
    color: float = declare(
        0.1,
        "data",
        "float",
        "Change brightness, contrast and saturation of training pictures by up to this share.",
        low=0,
        high=0.9,
    )
    seed: int = declare(0, "data", "int", "Seed of everything random.", low=0, high=2**31 - 1)

    backbone: str = declare(
        "vgg19", "network", "text", "The network.", choices=tuple(sorted(vgg.BLOCKS))
    )
    width: float = declare(
        1.0, "network", "float", "Factor on the number of channels.", low=0.01, high=4
    )
    initial: str | None = declare(
        None,
        "network",
        "text",
        "Fine-tune from these convolutions: embedded (shipped VGG19) or a weights file, whose "
        "width and preprocessing hold on.",
        path=True,
        words=("embedded",),
    )
    batch_norm: bool = declare(
        None, "network", "bool", "Batch norm behind each convolution; folded away in the weights."
    )
    head: str = declare(
        "average",
        "network",
        "text",
        "What the classifier sees: average, the mean of each feature over all positions, or "
        "flatten, every position, as in the paper.",
        choices=("average", "flatten"),
    )
    dense_units: int = declare(
        0, "network", "int", "Units of a dense layer before the output; 0: none.", low=0, high=65536
    )
    dropout: float = declare(
        0.3, "network", "float", "Share of the classifier's inputs dropped.", low=0, high=0.95
    )
    precision: str = declare(
        "float32",
        "network",
        "text",
        "float32, or bfloat16 for convolutions; weights, batch norm and loss stay float32.",
        choices=("float32", "bfloat16"),
    )
    distribute: str = declare(
        "none",
        "network",
        "text",
        "none, or mirrored: every batch is shared out to all GPUs.",
        choices=("none", "mirrored"),
    )
    deterministic: bool = declare(
        False,
        "network",
        "bool",
        "Repeatable to the byte on GPUs too, at some cost; CPUs always are.",
    )

    epochs: int = declare(20, "training", "int", "Rounds through all pictures.", low=1, high=10**6)
    batch_size: int = declare(25, "training", "int", "Pictures per step.", low=1, high=65536)
    learning_rate: float = declare(
        None, "training", "float", "Step size of Adam.", low=1e-9, high=10
    )
    schedule: str = declare(
        "cosine",
        "training",
        "text",
        "Course of the learning rate: constant, or cosine, down toward 0.",
        choices=("constant", "cosine"),
    )
    warmup_steps: int = declare(
        0,
        "training",
        "int",
        "Steps at the start over which the learning rate rises from 0 to that of the schedule.",
        low=0,
        high=10**9,
    )
    patience: int = declare(
        0,
        "training",
        "int",
        "End after so many epochs without a better validation accuracy; 0: never.",
        low=0,
        high=10**6,
    )

    workdir: str | None = declare(
        None,
        "output",
        "text",
        "The folder that all goes to. Not given: runs/BACKBONE_DATA-XXXX.",
        path=True,
        changes_result=False,
    )
    overwrite: bool = declare(
        False, "output", "bool", "Replace a finished or different training.", changes_result=False
    )
    log_every: int = declare(
        1,
        "output",
        "int",
        "Batches between rows of batches.csv.",
        low=1,
        high=10**9,
        changes_result=False,
    )
    checkpoint_every: int = declare(
        0,
        "output",
        "int",
        "Batches between checkpoints; 0: by time alone. Each epoch ends with one.",
        low=0,
        high=10**9,
        changes_result=False,
    )
    checkpoint_minutes: float = declare(
        5.0,
        "output",
        "float",
        "Minutes between checkpoints; 0: by batches alone.",
        low=0,
        high=10**6,
        changes_result=False,
    )
    tensorboard: bool = declare(
        False,
        "output",
        "bool",
        "Also write accuracy and loss as TensorBoard events.",
        changes_result=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.head == "flatten" and self.image_size < MIN_SIDE_FLAT:
            raise InputError(
                f"--image_size={self.image_size}: --head=flatten needs {MIN_SIDE_FLAT} or more"
            )


OPTIONS = options_of(TrainConfig)
DEFAULTS = defaults_of(TrainConfig)
COMMAND = command_line.Command(
    usage=(
        "Trains a VGG on labeled pictures; its weights serve nst_keras.run as --weights.",
        "",
        "  python -m nst_keras.train_backbone --folder=photos --width=0.5 --image_size=96",
        "  python -m nst_keras.train_backbone --csv=labels.csv --label_column=breed",
        "  python -m nst_keras.train_backbone --flagfile=configs/cifar100.cfg",
        "  python -m nst_keras.train_backbone --workdir=runs/vgg19_photos-3f2a    (goes on)",
    ),
    options=OPTIONS,
    defaults=DEFAULTS,
    unset={
        "batch_norm": "true, with --initial false",
        "learning_rate": "1e-3, without batch norm 1e-4, with --initial 1e-5",
    },
)


def settle(config: TrainConfig) -> TrainConfig:
    """The same with nothing left open but the folder.

    Raises:
        InputError: settings that do not go together.
    """
    given = [name for name in SOURCES if getattr(config, name)]
    if len(given) != 1:
        found = " and ".join(f"--{name}" for name in given) or "none"
        raise InputError(f"--cifar100, --csv or --folder: exactly one is needed, not {found}")
    if config.validation_csv and not config.csv:
        raise InputError(f"--validation_csv={config.validation_csv}: goes with --csv only")
    batch_norm = not config.initial if config.batch_norm is None else config.batch_norm
    if batch_norm and config.initial:
        raise InputError(
            "--batch_norm=true: --initial holds convolutions trained without; leave one out"
        )
    if config.initial and config.width != 1:
        raise InputError(f"--width={config.width:g}: --initial has a width of its own; leave it")
    if config.patience and not config.validation_csv and not config.validation_split:
        raise InputError(f"--patience={config.patience}: needs --validation_split above 0")
    rate = config.learning_rate or (1e-5 if config.initial else 1e-3 if batch_norm else 1e-4)
    return dataclasses.replace(config, batch_norm=batch_norm, learning_rate=rate)
