import threading

from nst_keras.live.controls import Controls


def test_a_pause_ends_when_somebody_resumes():
    controls = Controls(lambda: None)
    assert controls.allowed() == ("pause", "stop", "finish")
    assert controls.ask("pause")
    assert controls.allowed() == ("resume", "stop", "finish")
    asked = []
    timer = threading.Timer(0.05, lambda: asked.append(controls.ask("resume")))
    timer.start()
    controls.wait_while_paused(lambda: False)
    timer.join()
    assert asked == [True] and not controls.is_paused


def test_a_pause_ends_when_the_run_has_to_stop():
    controls = Controls(lambda: None)
    controls.ask("pause")
    controls.wait_while_paused(lambda: True)
    assert not controls.is_paused


def test_stopping_and_finishing_end_a_pause_and_are_asked_once():
    stops = []
    for action, property_name in (("stop", "is_stopping"), ("finish", "is_finishing")):
        controls = Controls(lambda: stops.append(1))
        controls.ask("pause")
        assert controls.ask(action) and getattr(controls, property_name)
        assert not controls.is_paused
        assert controls.allowed() == ()
        assert not controls.ask("finish")
        assert not controls.ask("pause")
    assert stops == [1]


def test_what_makes_no_sense_is_not_accepted():
    controls = Controls(lambda: None)
    assert not controls.ask("resume")
    assert not controls.ask("explode")
    controls.close()
    assert not controls.ask("pause") and controls.allowed() == ()
