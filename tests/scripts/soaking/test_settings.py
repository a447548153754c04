"""The random settings of soak jobs."""

from nst_keras.settings import resolve
from nst_keras.settings.config import parse_config
from scripts.soaking.job import Job


def test_settings_are_valid_and_repeat(tmp_path, inputs):
    all_flags = []
    for number in range(300):
        job, again = (Job(3, number, tmp_path / "job", inputs) for _ in range(2))
        assert (job.flags, job.interruptions) == (again.flags, again.interruptions)
        resolve.resolve(parse_config(job.flags)[0])
        all_flags += job.flags
        assert not job.interruptions[-1].kind and len(job.interruptions) > 1
    for flag in ("--tile_size=40", "--optimizer=lbfgs", "--precision=bfloat16", "--overwrite"):
        assert flag in all_flags
