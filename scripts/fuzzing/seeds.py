"""Small undamaged files of every other kind that is read."""

import dataclasses
import functools
import io
import json
import tempfile
from pathlib import Path

import numpy as np

from nst_keras.network import vgg, weights
from nst_keras.runs import folder as folder_lib
from nst_keras.runs import recording
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime import checkpoints
from nst_keras.settings import command_line
from nst_keras.settings.config import Config, format_flagfile
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps import trials
from nst_keras.training import config as config_lib

from .formats import npy, read_zip, write_tar, write_zip

TINY = (2, 2, 3, 3, 3)  # channels of each block


def _tiny_weights() -> weights.Weights:
    rng = np.random.default_rng(0)
    kernels, biases = {}, {}
    for conv in vgg.convolutions("vgg19", channels=TINY):
        kernels[conv.name] = rng.random(conv.kernel_shape, np.float32)
        biases[conv.name] = rng.random(conv.outputs, np.float32)
    return weights.Weights("vgg19", TINY, kernels, biases, sha256="")


@functools.cache
def weights_npz() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.npz")
        weights.write_weights(path, _tiny_weights())
        return path.read_bytes()


def _coded_npz() -> bytes:
    """Weights whose kernels have 256 values each, as the file in the package."""
    members = read_zip(weights_npz())
    coded = {}
    for name, content in members.items():
        if not name.endswith("kernel.npy"):
            coded[name] = content
            continue
        shape = np.load(io.BytesIO(content)).shape
        coded[name.replace(".npy", "_table.npy")] = npy(np.linspace(-1, 1, 256, dtype=np.float16))
        coded[name.replace(".npy", "_codes.npy")] = npy(np.full(shape, 7, np.uint8))
    return write_zip(list(coded.items()), compress=True)


def weights_npz_files() -> list[bytes]:
    bare = [item for item in read_zip(weights_npz()).items() if item[0] != "header.npy"]
    return [weights_npz(), _coded_npz(), write_zip(bare, compress=True)]


def weights_h5_files() -> list[bytes]:
    """Weights in both layouts of Keras."""
    import h5py

    tiny, found = _tiny_weights(), []
    for old in (True, False):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            for number, name in enumerate(tiny.kernels):
                place = f"layers/conv2d_{number}/vars/" if number else "layers/conv2d/vars/"
                kernel, bias = (place + "0", place + "1")
                if old:
                    kernel, bias = f"{name}/{name}_W_1:0", f"{name}/{name}_b_1:0"
                file[kernel], file[bias] = tiny.kernels[name], tiny.biases[name]
        found.append(stream.getvalue())
    return found


def declared_h5(length: int) -> bytes:
    """Weights whose first bias is declared to have this length, with no value stored."""
    import h5py

    stream = io.BytesIO(weights_h5_files()[0])
    with h5py.File(stream, "r+") as file:
        del file["block1_conv1/block1_conv1_b_1:0"]
        chunk = (min(length, 2**20),)
        file.create_dataset("block1_conv1/block1_conv1_b_1:0", (length,), "f4", chunks=chunk)
    return stream.getvalue()


def make_checkpointer(folder: Path) -> checkpoints.Checkpointer:
    return checkpoints.Checkpointer(folder, "job", every=1, minutes=0, keep=9)


def checkpoint_file(step: int) -> bytes:
    state = {
        "scale": {"image": np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3)},
        "monitors": {"early_stopping": np.array([1.5, 0.0])},
        "run": {"precision": np.array("float32")},
        "progress": {"json": np.frombuffer(b'{"epoch": 1}', np.uint8)},
    }
    with tempfile.TemporaryDirectory() as folder:
        saved = checkpoints.Checkpoint(step, 1.5, state)
        return make_checkpointer(Path(folder)).save(saved).read_bytes()


def run_config() -> Config:
    return resolve(Config(content="photo.png", style=("painting.png",), size=64, tolerance=0.1))


def run_record(config: Config, fingerprint: Fingerprint) -> bytes:
    source = {"name": "photo.png", "width": 60, "height": 40, "sha256": "0" * 64}
    record = {
        "version": "1.0",
        "status": "finished",
        "command": "python -m nst_keras.run --content=photo.png",
        "resume_command": "python -m nst_keras.run --workdir=x",
        "started": "2020-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "step": 3,
        "total_steps": 3,
        "device": "CPU",
        "content": source,
        "styles": [{**source, "name": "painting.png", "weight": 1.0}],
        "scales": [{"width": 60, "height": 40, "steps": 3, "first_step": 1}],
        "settings": recording.settings_text(config),
        "changed": ["size"],
        "final_terms": {"content/block4_conv2": 0.5, "tv": 0.1, "total": 0.6},
        "scores": {"ssim": 0.5, "total_variation": 1.1, "gram_error/block1_conv1": 0.2},
        "versions": {"python": "3"},
        "notes": ["a note"],
        "fingerprint": dataclasses.asdict(fingerprint),
        "requested": dataclasses.asdict(fingerprint),
    }
    return json.dumps(record, indent=1).encode()


def run_fingerprint() -> Fingerprint:
    return folder_lib.fingerprint(run_config(), {"content": "0" * 64})


def run_records() -> list[bytes]:
    """Records of the requested run and of another one."""
    requested = run_fingerprint()
    other = Fingerprint({**requested.settings, "size": "128", "quality": "draft"}, requested.hashes)
    return [run_record(run_config(), fingerprint) for fingerprint in (requested, other)]


def metrics_files() -> list[bytes]:
    return [metrics_file()]


def metrics_file() -> bytes:
    terms = {"total": 0.6, "content/block4_conv2": 0.5}
    rows = [{"step": step, "scale": 0, "terms": terms} for step in (1, 2, 3)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def sweep_trials() -> list[trials.Trial]:
    base = Config(content="photo.png", style=("painting.png",), size=64)
    return trials.make_trials(base, [], [trials.read_vary("style_weight=1,2")])


def trial_record() -> bytes:
    return record_of_trial(sweep_trials()[0])


def record_of_trial(trial: trials.Trial) -> bytes:
    return run_record(trial.config, folder_lib.fingerprint(trial.config, {"content": "0" * 64}))


def training_fingerprint() -> Fingerprint:
    config = config_lib.settle(config_lib.TrainConfig(csv="labels.csv"))
    return Fingerprint.of(config, config_lib.OPTIONS, {"data": "0" * 64})


def training_record() -> bytes:
    requested = dataclasses.asdict(training_fingerprint())
    return json.dumps({"status": "running", "requested": requested, "epochs": 3}).encode()


def batch_table() -> bytes:
    rows = [f"{step},1,{step},2.5,0.25,0.001" for step in range(1, 5001)]  # about 100 kB
    return "\n".join(["step,epoch,batch,loss,accuracy,learning_rate", *rows, ""]).encode()


def flagfiles() -> list[bytes]:
    given = Config(
        content="photo.png",
        style=("a.png", "b,c.png"),
        style_blend=(3.0, 7.0),
        style_layer_weights=(("block5_conv1", 0.1),),
        balance=(("content", 1.0), ("tv", 0.1)),
        memory_limit=2**32,
        time_limit=90.0,
        image_at=(100, 240),
    )
    few = b"# Comments\n--content=photo.png\n--style=painting.png\n--xla\n--noscores\n"
    piecewise = b"--schedule=piecewise\n--schedule_at=10:0.5,20:0.1\n--style=a.png\n"
    piecewise += b"--optimizer=sgd\n--learning_rate=1"
    full = format_flagfile(run_config()).encode()
    return [format_flagfile(given).encode(), few, piecewise, full]


def training_flagfiles() -> list[bytes]:
    values = dataclasses.asdict(config_lib.TrainConfig(csv="labels.csv"))
    full = command_line.format_flagfile(config_lib.COMMAND, values)
    return [full.encode(), b"--folder=a\n--classes=3\n--initial=embedded\n--learning_rate=1e-3\n"]


def label_tables() -> list[bytes]:
    return [
        b"path,label\na/0.png,cat\na/1.png,cat\nb/0.png,dog\nb/1,dog\n",
        b"\xef\xbb\xbfid,path,label\r\n1,a/0.png,0\r\n2,a/1.png,0\r\n3,b/0.png,1\r\n4,b/1,1\r\n",
    ]


def matrices() -> list[bytes]:
    return [
        b"name,note,style_weight,size\none,first,4,64\ntwo,,8,128\n",
        b'style,style_blend,content\n"a.png,b.png","1,2",photo.png\nc.png,,photo.jpg\n',
        b"schedule,schedule_at,init,optimizer\nconstant,,noise,adam\npiecewise,10:0.5,,\n",
        b"memory_limit,time_limit,balance,image_at\n4G,90s,content:1,3\n,2h,,\n",
    ]


def cifar_archives() -> list[bytes]:
    def records(labels: tuple[int, ...]) -> bytes:
        return b"".join(bytes([0, label]) + bytes(range(256)) * 12 for label in labels)

    members = {
        "train.bin": records((0, 1)),
        "test.bin": records((1,)),
        "fine_label_names.txt": b"apple\nbear\n",
    }
    named = {f"cifar-100-binary/{name}": content for name, content in members.items()}
    return [write_tar(named), write_tar(named, "w:bz2")]
