"""The first signal is noted, the second stops at once."""

from __future__ import annotations

import signal

import pytest

from ushape.cli.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_stops(number, capfd):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.requested
        signal.raise_signal(number)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
    assert "press Ctrl-C again to stop at once" in capfd.readouterr().err
