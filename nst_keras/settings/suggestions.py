"""What an unknown name probably means: the flag of another tool, or a slip of the keyboard."""

import difflib
from collections.abc import Iterable

# By the option that does the same, names of it in other tools, and common ones for it.
_IN_OTHER_TOOLS = {
    "content": ("content_image", "content_path", "content_img", "input", "input_image"),
    "style": ("style_image", "style_images", "style_path", "style_img", "styles"),
    "style_mask": ("mask", "masks", "style_masks", "mask_path"),
    "style_blend": ("style_blend_weights", "style_weights", "style_mix"),
    "style_scale": (
        *("stroke_size", "brush_size", "strokes", "brush"),
        *("style_size", "style_scales", "style_scale_fac"),
    ),
    "init": ("initial", "init_image", "init_img", "initialization"),
    "init_noise": ("initial_noiseblend", "noise_ratio"),
    "seed": ("random_seed", "rng_seed"),
    "profile": ("icc", "icc_profile"),
    "workdir": (
        *("output_dir", "output_folder", "out_dir", "outdir", "save_dir", "save_path"),
        *("results_dir", "run_dir", "run_folder", "folder", "logdir", "log_dir"),
    ),
    "output": ("output_image", "output_path", "out", "o", "result", "img_output_name"),
    "open": ("browser",),
    "overwrite": ("force",),
    "size": (
        *("image_size", "img_size", "imsize", "end_scale", "resolution", "max_size"),
        *("width", "height", "max_dim"),
    ),
    "min_size": ("min_scale",),
    "iterations": (
        *("num_iterations", "num_iters", "num_iter", "n_iter", "niter", "iter", "iters"),
        *("max_iterations", "max_iter", "num_steps", "n_steps", "steps", "epochs"),
    ),
    "coarse_iterations": ("initial_iterations",),
    "content_layers": ("content_layer",),
    "style_layers": ("style_layer",),
    "content_weight": ("cw", "alpha"),
    "style_weight": ("sw", "beta"),
    "tv_weight": ("tw", "total_variation_weight", "tv", "smooth_weight"),
    "color": ("original_colors", "preserve_colors", "preserve_color"),
    "backbone": ("network", "model", "arch", "cnn"),
    "weights": ("model_file", "model_path", "model_weights"),
    "pooling": ("pooling_type", "pool"),
    "precision": ("dtype", "fp16", "half", "amp", "mixed_precision"),
    "learning_rate": ("lr", "step_size"),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "epsilon": ("eps",),
    "average": ("avg_decay", "ema", "ema_decay"),
    "history": ("lbfgs_num_correction", "history_size"),
    "schedule": ("lr_schedule", "lr_scheduler", "scheduler"),
    "tile_size": ("tile", "tiles"),
    "device": ("gpu", "gpus", "cuda", "devices", "device_id", "cpu", "cpu_only", "no_cuda"),
    "log_every": ("print_iter", "print_iterations", "print_every", "log_interval"),
    "image_every": ("save_iter", "save_every", "save_interval", "save_freq"),
    "checkpoint_every": ("checkpoint_iterations", "checkpoint_interval", "checkpoint_freq"),
    "serve": ("web",),
    "serve_port": ("port",),
    "epochs": ("num_epochs", "n_epochs"),
    "batch_size": ("batch", "bs"),
}

# Words in place of a path that other tools have, by option and by the word that does the same.
_WORDS_IN_OTHER_TOOLS = {"init": {"content": ("image", "photo"), "noise": ("random",)}}


def suggested_word(name: str, text: str, words: Iterable[str]) -> str | None:
    """The one of the `words` of an option that an unknown one probably means, or None."""
    for word, others in _WORDS_IN_OTHER_TOOLS.get(name, {}).items():
        if text.lower() in others:
            return word
    close = difflib.get_close_matches(text, list(words), n=1)
    return close[0] if close else None


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The one of the `known` names that an unknown one probably means; None if it is like none."""
    choices = list(known)
    plain = name.lower().replace("-", "_")
    for option, others in _IN_OTHER_TOOLS.items():
        if plain in others and option in choices:
            return option
    close = difflib.get_close_matches(name, choices, n=1)
    return close[0] if close else None
