"""The same step in PyTorch, as a peer: the embedded weights, autograd and fused Adam.

It runs in a process of its own (`python -m benchmarks.pytorch WIDTHxHEIGHT,... PRECISION`), since
in one process with TensorFlow it may wait forever. For each size it prints seconds per step by mode
so far, as a line of JSON, after each mode.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import machine
from nst_keras.network import vgg
from nst_keras.network import weights as weights_lib

_CONTENT = "block5_conv2"
_STYLES = tuple(f"block{block}_conv1" for block in range(1, 6))
_ROUNDS, _LEAST_SECONDS = 5, 0.1  # of a measurement
_MEAN = (103.939, 116.779, 123.68)  # of blue, green and red on 0..255

Features = dict[str, torch.Tensor]


def modes() -> tuple[str, ...]:
    """The ways to run it here: 'eager', 'compile' by torch.compile, 'graph' by a CUDA graph."""
    return ("eager", "graph", "compile") if torch.cuda.is_available() else ("eager",)


class _Network(torch.nn.Module):
    """VGG19 up to the content layer, of images (1, 3, H, W) in [0, 1], channels last in memory."""

    def __init__(self, dtype: torch.dtype, device: str):
        super().__init__()
        weights = weights_lib.read_weights(weights_lib.embedded_path(), "vgg19")
        self._convs = vgg.up_to_deepest("vgg19", (_CONTENT,))
        placed = {"device": device, "dtype": dtype}
        for conv in self._convs:
            kernel = torch.tensor(weights.kernels[conv.name].transpose(3, 2, 0, 1), **placed)
            self.register_buffer(
                f"{conv.name}_kernel", kernel.contiguous(memory_format=torch.channels_last)
            )
            self.register_buffer(
                f"{conv.name}_bias", torch.tensor(weights.biases[conv.name], **placed)
            )
        self.register_buffer("_mean", torch.tensor(_MEAN, device=device)[:, None, None])
        self._dtype = dtype

    def forward(self, image: torch.Tensor) -> Features:
        x = (image.flip(1) * 255.0 - self._mean).to(self._dtype)
        found, block = {}, 1
        for conv in self._convs:
            if conv.block > block:
                x, block = F.max_pool2d(x, 2), conv.block
            kernel, bias = (getattr(self, f"{conv.name}_{part}") for part in ("kernel", "bias"))
            x = F.relu(F.conv2d(x, kernel, bias, padding=1))
            if conv.name in (*_STYLES, _CONTENT):
                found[conv.name] = x
        return found


def steps(
    content: np.ndarray, style: np.ndarray, precision: str, mode: str
) -> Callable[[int], None]:
    """Steps that begin at the content; pictures are (H, W, 3) in [0, 1]."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    network = _Network(getattr(torch, precision), device)
    with torch.no_grad():
        target = network(_image(content, device))[_CONTENT].float()
        found = network(_image(style, device))
        grams = {layer: _gram(found[layer]) for layer in _STYLES}
    scales = {layer: gram.square().sum() for layer, gram in grams.items()}
    content_scale = target.square().mean()

    def loss_of(image: torch.Tensor) -> torch.Tensor:
        found = network(image)
        loss = (found[_CONTENT].float() - target).square().mean() / content_scale
        for layer, gram in grams.items():
            loss = loss + (_gram(found[layer]) - gram).square().sum() / scales[layer]
        loss = loss + (image[..., 1:] - image[..., :-1]).square().mean()
        return loss + (image[..., 1:, :] - image[..., :-1, :]).square().mean()

    compiled = torch.compile(loss_of) if mode == "compile" else loss_of
    image = _image(content, device).requires_grad_()
    on_gpu, is_graph = device == "cuda", mode == "graph"
    adam = torch.optim.Adam([image], lr=0.02, fused=on_gpu, capturable=is_graph)

    def step() -> None:
        adam.zero_grad(set_to_none=not is_graph)
        compiled(image).backward()
        adam.step()
        with torch.no_grad():
            image.clamp_(0.0, 1.0)

    take = _captured(step) if is_graph else step

    def run(count: int) -> None:
        for _ in range(count):
            take()
        if on_gpu:
            torch.cuda.synchronize()

    return run


def _image(picture: np.ndarray, device: str) -> torch.Tensor:
    image = torch.tensor(picture.transpose(2, 0, 1)[None], device=device)
    return image.contiguous(memory_format=torch.channels_last)


def _gram(features: torch.Tensor) -> torch.Tensor:
    rows = features.flatten(2)[0]
    return (rows @ rows.T).float() / rows.shape[1]


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    """A CUDA graph of a step, after some that fill caches."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    """Measure each mode at each size; a mode that fails is left out."""
    sizes, precision = sys.argv[1].split(","), sys.argv[2]
    found: dict[str, dict[str, float]] = {size: {} for size in sizes}
    for mode in modes():
        for size in sizes:
            width, height = machine.size(size)
            content, style = (machine.noise_picture(height, width, seed) for seed in (1, 2))
            try:
                taken = _seconds(steps(content, style, precision, mode))
            except RuntimeError as error:
                print(f"{mode}: {error}", file=sys.stderr)
                continue
            found[size][f"pytorch_{mode}_seconds_per_step"] = round(taken, 5)
            print(json.dumps({"size": size, "figures": found[size]}), flush=True)


def _seconds(run: Callable[[int], None]) -> float:
    """The median of seconds per step."""
    run(3)
    began = time.perf_counter()
    run(1)
    count = max(1, round(_LEAST_SECONDS / (time.perf_counter() - began)))
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        run(count)
        seconds.append((time.perf_counter() - began) / count)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
