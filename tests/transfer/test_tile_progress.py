"""The progress within a single evaluation in tiles."""

from nst_keras.transfer import tile_progress


def test_a_long_evaluation_logs_how_far_it_is(monkeypatch, caplog):
    caplog.set_level("INFO")
    now = [100.0]
    monkeypatch.setattr(tile_progress.time, "monotonic", lambda: now[0])
    report = tile_progress.TileProgress()
    for done, seconds in ((1, 10), (2, 25), (3, 5), (4, 31), (5, 40), (6, 40), (1, 29), (2, 2)):
        now[0] += seconds
        report(done, 6)
    assert [record.getMessage().split("tile ")[1] for record in caplog.records] == [
        *("2 of 6", "4 of 6", "5 of 6", "2 of 6")
    ]
