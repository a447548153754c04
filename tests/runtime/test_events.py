"""TensorBoard events, read back with TensorFlow."""

import numpy as np
import tensorflow as tf

from nst_keras.runtime.events import EventWriter


def test_scalars_and_images_are_read_back_as_they_were_written(tmp_path):
    writer = EventWriter(tmp_path)
    writer.write(3, {"total": 2.5, "style": 1.5})
    writer.write(7, {"total": 0.5}, np.full((4, 6, 3), 1.0, np.float32))
    writer.close()
    (path,) = tmp_path.iterdir()
    scalars, images = {}, {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            tensor = tf.make_ndarray(value.tensor)
            (scalars if tensor.ndim == 0 else images)[event.step, value.tag] = tensor
    assert scalars == {(3, "total"): 2.5, (3, "style"): 1.5, (7, "total"): 0.5}
    ((step, _),) = images
    width, height, png = images[step, "image"]
    assert (step, int(width), int(height)) == (7, 6, 4)
    assert np.all(tf.io.decode_png(png).numpy() == 255)
