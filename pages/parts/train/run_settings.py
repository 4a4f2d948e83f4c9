"""The settings of the next run: preset, start, epochs and seed on top, all others in tabs."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.config import PRESETS, STARTS, Config, Start, starting
from pages.shared import state
from pages.shared.settings import setting

# The groups of settings shown here, with their tabs; mask and markers have their own pages.
GROUPS = {
    "crops": "Crops",
    "network": "Network",
    "training": "Training",
    "labels": "Labels",
}
SHOWN_ABOVE = {("training", "epochs"), ("training", "seed"), ("network", "start")}
# Settings that the taught network fixes, in addition to all settings of the network.
FIXED = {("crops", "intensity"), ("crops", "with_nucleus")}
# Labels of settings whose name alone is unclear.
LABELS = {
    "sigma": "Sigma of the position embedding",
    "crops": "Crops per step",
    "area": "Area per step",
    "lam": "λ (lam)",
    "beta": "β (beta)",
}


def run_settings(*, collapsed: bool) -> None:
    """Show all settings of the next run; `collapsed` if there is a run to look at."""
    config = state.choices().config
    with st.expander(
        "Settings of the next run",
        expanded=not collapsed,
        icon=":material/tune:",
        # A new key makes Streamlit apply `expanded` again.
        key=f"train_settings_{collapsed}",
    ):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.session_state["train_preset"] = config.preset if config.preset in PRESETS else None
            st.segmented_control(
                "Preset",
                list(PRESETS),
                key="train_preset",
                on_change=lambda: take_preset(st.session_state["train_preset"]),
                help="quick: the best result for the time on an ordinary laptop. "
                "paper: network, crops and training as published, many times slower. "
                "Mask and markers are set on their own pages.",
            )
            st.session_state["network_start"] = config.network.start
            st.segmented_control(
                "Start",
                list(STARTS),
                required=True,
                format_func=STARTS.get,
                key="network_start",
                wrap=True,
                on_change=lambda: take_start(st.session_state["network_start"]),
                help="Taught on simulated cells: the network has learnt from simulated images what "
                "a cell looks like, and is then trained on this image. Nothing, as published: the "
                "network begins with random weights and learns from this image alone, so you can "
                "watch cells emerge. The start also sets the network, the crops and the length of "
                "the training.",
            )
            with st.container(width=150):
                setting("training", "epochs")
            with st.container(width=150):
                setting("training", "seed")
            base, changed = base_of(config), n_changed(config)
            st.button(
                f"Back to {base}",
                icon=":material/restart_alt:",
                key="train_reset",
                disabled=changed == 0,
                on_click=take_preset,
                args=(base, config.network.start),
            )
        if changed:
            word = "setting differs" if changed == 1 else "settings differ"
            st.caption(f"{changed} {word} from {base}.")
        others = st.expander(
            "Every other setting",
            icon=":material/more_horiz:",
            key="train_others",
            # Dozens of widgets take the browser a quarter of a second, so they are made on demand.
            on_change="rerun",
        )
        if others.open:
            with others:
                for tab, group in zip(st.tabs(list(GROUPS.values())), GROUPS, strict=True):
                    with tab:
                        other_settings(group)


def take_preset(name: str | None, start: Start | None = None) -> None:
    """Take the settings of a preset for the groups shown here; `start` replaces its start."""
    if name is None:
        return
    now = state.choices()
    preset = PRESETS[name] if start is None else starting(PRESETS[name], start)
    taken = {group: getattr(preset, group) for group in GROUPS}
    state.take(now.replace(config=now.config.replace(preset=name, **taken)))


def take_start(start: Start) -> None:
    """Begin with the taught network or with nothing, and take the settings that suit it."""
    now = state.choices()
    state.take(now.replace(config=starting(now.config, start)))


def base_of(config: Config) -> str:
    """Return the name of the preset that settings are compared with; of custom ones `quick`."""
    return config.preset if config.preset in PRESETS else "quick"


def n_changed(config: Config) -> int:
    """Count the settings shown here that differ from the preset with the same start."""
    usual = starting(PRESETS[base_of(config)], config.network.start)
    ours, theirs = (
        [value for group in GROUPS for value in getattr(settings, group).model_dump().values()]
        for settings in (config, usual)
    )
    return sum(a != b for a, b in zip(ours, theirs, strict=True))


def other_settings(group: str) -> None:
    """Show the settings of a group, three in a row, without those shown above."""
    config = state.choices().config
    fields = type(getattr(config, group)).model_fields
    names = [name for name in fields if (group, name) not in SHOWN_ABOVE]
    st.caption(type(getattr(config, group)).__doc__ or "")
    if any(_is_fixed(config, group, name) for name in names):
        st.caption(
            "Grey settings are fixed by the taught network. To change them, start from nothing."
        )
    for row in range(0, len(names), 3):
        for column, name in zip(st.columns(3), names[row : row + 3], strict=False):
            with column:
                is_fixed = _is_fixed(config, group, name)
                setting(group, name, label=LABELS.get(name), disabled=is_fixed)


def _is_fixed(config: Config, group: str, name: str) -> bool:
    """Return whether the taught network fixes a setting."""
    taught = config.network.start == "simulated"
    return taught and (group == "network" or (group, name) in FIXED)
