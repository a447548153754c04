"""What tests of trainings share: small data sets, made here."""

import numpy as np

CIFAR_NAMES = ("apple", "bear", "clock", "dinosaur", "elephant")


def cifar_records(count, seed=0):
    """Records of CIFAR's binary version, uint8 (count, 3074); labels count from 0 to 4 again."""
    records = np.random.default_rng(seed).integers(0, 256, (count, 3074), np.uint8)
    records[:, 1] = np.arange(count) % len(CIFAR_NAMES)
    return records


def cifar_folder(folder, **changes):
    """A CIFAR-100 of five classes, 20 and 10 pictures; `changes` are other bytes by file stem."""
    content = {
        "train": cifar_records(20, 0).tobytes(),
        "test": cifar_records(10, 1).tobytes(),
        "fine_label_names": "".join(f"{name}\n" for name in CIFAR_NAMES).encode(),
    }
    path = folder / "cifar-100-binary"
    path.mkdir(parents=True)
    for stem, data in (content | changes).items():
        if data is not None:
            suffix = "txt" if stem == "fine_label_names" else "bin"
            (path / f"{stem}.{suffix}").write_bytes(data)
    return path
