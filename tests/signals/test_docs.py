"""The page about signals lists what the catalogue says: ids, states, bounds and silences."""

from __future__ import annotations

from pathlib import Path

from pipelines.signals.catalogue import signals

PAGE = Path(__file__).parents[2] / "docs" / "signals.md"


def row(signal):
    """A line of the table in the page."""
    states = [state.state for state in (*signal.states, *signal.levels)]
    params = [f"{name} {param.value}" for name, param in signal.params.items() if name != "cooldown"]
    silence = str(signal.params["cooldown"].value) if signal.cooldown else ""
    cells = [f"`{signal.id}`", signal.family, ", ".join(states), "; ".join(params), silence]
    return "| " + " | ".join(cells) + " |"


def test_the_table_is_that_of_the_catalogue(tenant):
    text = PAGE.read_text(encoding="utf-8")
    for signal in signals(tenant).values():
        assert row(signal) in text, f"write into docs/signals.md:\n{row(signal)}"
    listed = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(listed) == len(signals(tenant))
