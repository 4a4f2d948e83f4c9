"""Compare epochs, runs and baselines with each other and with the truth."""

import streamlit as st

from cellcutter_core.runs.folder import find_run
from cellcutter_core.runs.names import run_name
from cellcutter_core.view.curves import loss_curves
from pages.parts.compare.against_truth import against_truth
from pages.parts.compare.film import film
from pages.parts.compare.scores import scores
from pages.parts.compare.side_by_side import against_baselines, two_epochs, two_runs
from pages.shared import panels, python_code, state
from pages.shared.open_run import opened_run
from pages.shared.sharing import share
from pages.shared.viewer import views

MODES = {
    "film": ("Epochs", film),
    "epochs": ("Side by side", two_epochs),
    "runs": ("Two runs", two_runs),
    "baselines": ("Baselines", against_baselines),
    "truth": ("Truth", against_truth),
}

state.enter("compare")
panels.head("compare")

run = opened_run("There is nothing to compare")
run_id, epochs = run.path.name, run.epochs
mode = st.segmented_control(
    "Compare",
    list(MODES),
    default="film",
    required=True,
    format_func=lambda name: MODES[name][0],
    key="compare_mode",
    persist_state="session",
    label_visibility="collapsed",
)


@st.fragment
def shown() -> None:
    """Show the pictures, and the scores of the epochs in them."""
    _, draw = MODES[mode]
    found = draw(run, epochs)
    with st.container(horizontal=True, horizontal_alignment="right"):
        share(run, view=views.view_of_comparison(run, mode), place=run_id)
    scores(run, found)


shown()


@st.fragment
def losses() -> None:
    """Show the loss of several runs in one figure."""
    st.subheader("Loss of several runs", anchor=False)
    names = {
        summary.id: run_name(summary) for summary in state.listed_runs() if summary.epochs_done
    }
    chosen = st.multiselect(
        "Runs",
        list(names),
        default=[run_id] if run_id in names else [],
        max_selections=5,
        format_func=names.get,
        key=f"compare_losses_{run_id}",
    )
    if not chosen:
        st.info("Choose at least one run.", icon=":material/info:")
        return
    with panels.show_errors():
        found = {name: find_run(name) for name in chosen}
        training = run.config.training
        panels.chart(
            loss_curves(
                {names[name]: one.progress.epoch_events for name, one in found.items()},
                warm_up=training.warm_up / training.steps if run_id in chosen else 0,
            ),
            key="compare_loss",
            alt="Loss over the epochs with its terms, for "
            + ", ".join(names[name] for name in chosen),
        )


losses()
panels.link("train", "Continue or repeat this run")
panels.footer(
    "compare", python_code.compare_code(str(run.path), tuple(sorted({epochs[0], epochs[-1]})))
)
