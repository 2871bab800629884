"""Lines now and then where there is no terminal."""

from __future__ import annotations

from ushape.cli.bar import Bar


def test_without_a_terminal_a_line_is_said_now_and_then(capsys):
    with Bar("training", seconds_between_lines=0) as bar:
        bar.show(0.0, "loss 2")
        bar.show(0.25, "loss 1")
        bar.note("a line that stays")
        bar.show(1.0, "loss 0")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "training 0%  loss 2",
        "training 25%  loss 1  0:00 left",
        "a line that stays",
        "training 100%  loss 0",
    ]


def test_lines_do_not_come_more_often_than_that(capsys):
    with Bar("training", seconds_between_lines=1000) as bar:
        for step in range(10):
            bar.show(step / 10, "loss 1")
    assert capsys.readouterr().err == ""
