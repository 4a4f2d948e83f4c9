"""Start a training, watch it, stop it, go on with it. It runs in a process of its own."""

import streamlit as st

from cellcutter_core.config import PRESETS, Config
from cellcutter_core.runs.folder import delete_run, list_runs
from cellcutter_core.runs.store import Run
from cellcutter_core.view.render import probability_colors
from pages.shared import cached, code, panels, start, state
from pages.shared.linked import linked_panes

GROUPS = {
    "crops": "Crops",
    "network": "Network",
    "training": "Training",
    "labels": "Labels",
}
# Settings whose name alone says little.
LABELS = {
    "sigma": "Sigma of the position embedding",
    "crops": "Crops a step",
    "area": "Area of a step",
    "lam": "λ (lam)",
    "beta": "β (beta)",
}
LOG_LINES = 40

state.enter("train")
panels.head("train")


# The next run -------------------------------------------------------------------------------------


def take_preset(name: str | None) -> None:
    """Settings of a preset for what is decided here; mask and markers stay."""
    now = state.choices()
    if name is None:
        return
    kept = {group: getattr(now.config, group) for group in ("mask", "markers")}
    state.take(now.replace(config=PRESETS[name].replace(**kept)))


def n_changed(config: Config) -> int:
    """How many settings here differ from those of the preset."""
    usual = PRESETS.get(config.preset, PRESETS["quick"])
    ours, theirs = (
        [value for group in GROUPS for value in getattr(settings, group).model_dump().values()]
        for settings in (config, usual)
    )
    return sum(a != b for a, b in zip(ours, theirs, strict=True))


def settings(*, folded: bool) -> None:
    """Preset, epochs and seed; the others in tabs below."""
    config = state.choices().config
    with st.expander(
        "Settings of the next run",
        expanded=not folded,
        icon=":material/tune:",
        key=f"train_settings_{folded}",
    ):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.session_state["train_preset"] = config.preset if config.preset in PRESETS else None
            st.segmented_control(
                "Preset",
                list(PRESETS),
                key="train_preset",
                on_change=lambda: take_preset(st.session_state["train_preset"]),
                help="quick: the best result for the time on an ordinary laptop. "
                "paper: the published configuration to the letter, many times slower.",
            )
            with st.container(width=150):
                panels.setting("training", "epochs", label="Epochs")
            with st.container(width=150):
                panels.setting("training", "seed", label="Seed")
            changed = n_changed(config)
            st.button(
                "Back to the preset",
                icon=":material/restart_alt:",
                key="train_reset",
                disabled=changed == 0,
                on_click=take_preset,
                args=(config.preset if config.preset in PRESETS else "quick",),
            )
        if changed:
            word = "setting differs" if changed == 1 else "settings differ"
            st.caption(f"{changed} {word} from the preset.")
        with st.expander("Every other setting", icon=":material/more_horiz:", key="train_others"):
            for tab, group in zip(st.tabs(list(GROUPS.values())), GROUPS, strict=True):
                with tab:
                    other_settings(group)


def other_settings(group: str) -> None:
    shown_above = {("training", "epochs"), ("training", "seed")}
    fields = type(getattr(state.choices().config, group)).model_fields
    names = [name for name in fields if (group, name) not in shown_above]
    st.caption(type(getattr(state.choices().config, group)).__doc__ or "")
    for row in range(0, len(names), 3):
        for column, name in zip(st.columns(3), names[row : row + 3], strict=False):
            with column:
                label = LABELS.get(name, name.replace("_", " ").capitalize())
                panels.setting(group, name, label=label)


def before_start() -> None:
    """Device and time, as far as they are known."""
    device = cached.device()
    known = device.known()
    where = known or device.problem or "Finding out what it will run on …"
    # An open run from the same image, mask and markers has all that is asked for.
    like = opened if opened is not None and set(stale) <= {"training"} else None
    if like is None and cached.is_large():
        st.caption(f"{where}. The region is large: its mask and markers are computed at the start.")
        return
    with panels.told():
        seconds, basis = cached.estimate(like)
        st.caption(f"**About {panels.in_words(seconds)}** · {where}", help=f"Estimated {basis}.")


opened = state.run()
now = opened.progress if opened else None
is_going = now is not None and now.status in ("queued", "running")
stale = state.out_of_date(opened) if opened else ()

settings(folded=opened is not None)
unknown = cached.device().known() is None and cached.device().problem is None
with st.container(horizontal=True, vertical_alignment="center"):
    if st.button(
        "Start training",
        icon=":material/play_arrow:",
        type="primary" if opened is None or (stale and not is_going) else "secondary",
        key="train_start",
        help="Makes a new run; the others are kept." if opened else None,
    ):
        with panels.told():
            start.start_run()
            panels.go("train")
    with st.container():
        st.fragment(before_start, run_every=1.0 if unknown else None)()


# The open run -------------------------------------------------------------------------------------


def what_to_try(config: Config) -> list[str]:
    """What keeps a network from collapsing, as far as the run did without."""
    tried = {
        "group normalisation (Network)": config.network.normalisation == "group",
        "a warm-up of 32 steps (Training)": config.training.warm_up > 0,
        "a third of the learning rate (Training)": config.training.learning_rate <= 1e-3,
        "a longest gradient of 1, clip norm (Training)": config.training.clip_norm is not None,
        "a nucleus weight of 1 (Training)": config.training.nucleus_weight > 0,
        "β nearer to 0, such as −10 (Training)": config.training.beta > -20,
    }
    return [advice for advice, done in tried.items() if not done]


def device_line(run: Run) -> str:
    """Which run it is, where it is trained, and on how much."""
    found = [event for event in run.events() if event["kind"] == "device"]
    if not found:
        return f"Run {run.path.name}"
    event = found[-1]
    cells = f"{event['n_cells']} cells"
    return f"Run {run.path.name} · {event['device']}, {event['precision']} · {cells}"


def watch(run: Run, epochs_drawn: int, status_drawn: str) -> None:
    """Progress of the run, every second; what only changes with an epoch is drawn by the page."""
    now = run.progress
    if (now.epochs_done, now.status) != (epochs_drawn, status_drawn):
        st.rerun()
    done = now.epochs_done * now.steps + now.step
    position = cached.jobs().position(run) if now.status == "queued" else None
    line = panels.progress_line(now)
    if position is not None and position > 1:
        line += f", number {position} in the queue"
    if now.status in ("failed", "crashed"):
        line = f"{now.epochs_done} of {now.epochs} epochs are kept"
    if now.status == "running" and not done:
        line = "Starting: the network is being built, which takes some seconds"
    if run.asked_to_stop and now.status in ("queued", "running"):
        line = "Stopping after this step …"
    st.progress(min(done / max(now.epochs * now.steps, 1), 1.0), text=line)
    st.caption(device_line(run))


def stop_or_go_on(run: Run, *, n_done: int, going: bool) -> None:
    """Stop while it runs; afterwards more epochs, or the same again with changes."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if going:
            if st.button("Stop", icon=":material/stop:", key="train_stop"):
                cached.jobs().cancel(run)
                st.rerun()
        else:
            missing = max(now.epochs - n_done, 0)
            more = st.number_input(
                "More epochs",
                1,
                10_000,
                missing or 8,
                key=f"train_more_{run.path.name}_{n_done}",
                width=150,
                label_visibility="collapsed",
            )
            word = "epoch" if more == 1 else "epochs"
            if st.button(
                f"Continue with {more} more {word}", icon=":material/resume:", key="train_continue"
            ):
                with panels.told():
                    cached.jobs().submit(run, epochs=n_done + int(more))
                    st.rerun()
        if st.button(
            "Duplicate with changes",
            icon=":material/content_copy:",
            key="train_duplicate",
            help="Takes this run's image and settings as the present ones; then change what you "
            "like and start a new run.",
        ):
            with panels.told():
                state.take_choices_of(run)
                st.rerun()
        if n_done and not going:
            panels.next_step("compare")


def end_of_log(run: Run) -> None:
    if not run.log_file.exists():
        return
    lines = run.log_file.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    with st.expander("The end of the log", icon=":material/description:"):
        st.code("\n".join(lines) or "It is empty.", language=None)


def troubles(run: Run) -> None:
    """What went wrong with the run, and what to do."""
    if now.collapsed:
        advice = what_to_try(run.config)
        st.warning(
            "**This run has collapsed:** all its cells are empty, which costs nothing, and more "
            "epochs will not bring them back. Take *Duplicate with changes* and try one of these; "
            "the quick preset has most of them.\n"
            + "\n".join(f"- {one}" for one in [*advice, "another seed"]),
            icon=":material/error:",
        )
    if now.status in ("failed", "crashed"):
        again = "go on from its last whole epoch" if now.epochs_done else "try it again"
        st.error(
            f"**This run {now.status}:** {now.message}. *Continue* lets it {again}.",
            icon=":material/error:",
        )
        end_of_log(run)
    if now.status == "queued" and run.path in [left.path for left in cached.jobs().left_behind()]:
        st.warning("The app was closed before it was this run's turn.", icon=":material/update:")
        if st.button("Put it into the queue again", key="train_again"):
            with panels.told():
                cached.jobs().submit(run)
                st.rerun()


def results(run: Run) -> None:
    """Cells and probability after the last epoch, and how loss and scores went."""
    events, last = now.epoch_events, now.epochs_done
    image = cached.run_picture(run.path.name)
    if run.epochs:
        number = run.epochs[-1]
        title = f"Cells after epoch {number}"
        cells = cached.run_cells(run, number)
        probability = probability_colors(cached.epoch_of(run, number).probability)
        alt = f"{title} in colours over the image, and the highest probability of any cell"
    else:
        # Dark until there is something to see, in its place from the start.
        title = "Cells, after the first epoch"
        cells = probability = image // 4
        alt = "The image; cells and probability will be beside it after the first epoch"
    pictures = {"Image": image, title: cells, "Probability": probability}
    linked_panes(pictures, n_columns=3, key="train_pictures", place=run.path.name, alt=alt)
    found = f"loss {events[-1]['loss']:.1f} after epoch {last}" if events else "no epoch yet"
    losses, scores = cached.run_curves(run, now)
    panels.chart(
        losses, key="train_loss", alt=f"Loss over the epochs with its three parts: {found}"
    )
    if scores is not None:
        panels.chart(
            scores,
            key="train_scores",
            alt="Agreement with the truth over the epochs; the watershed's as a dashed line",
        )


if opened is not None:
    about = opened.description.get("image", "Run")
    st.subheader(f"{about}, {opened.config.preset} preset", anchor=False)
    panels.stale_note(stale)
    troubles(opened)
    st.fragment(watch, run_every=1.0 if is_going else None)(opened, now.epochs_done, now.status)
    stop_or_go_on(opened, n_done=now.epochs_done, going=is_going)
    with panels.told():
        results(opened)


# All runs -----------------------------------------------------------------------------------------


def all_runs() -> None:
    """Open another run, or delete one."""
    runs, n_damaged = list_runs()
    if not runs:
        return
    st.subheader("All runs", anchor=False)
    st.dataframe(
        [
            {
                "run": panels.run_name(run) + (" (open)" if run.id == open_id else ""),
                "status": "collapsed" if run.collapsed else run.status,
                "epochs": f"{run.epochs_done} of {run.epochs}",
                "time": panels.in_words(run.seconds) if run.epochs_done else "",
                "ap50": (run.scores or {}).get("ap50"),
            }
            for run in runs
        ],
        height=min(38 + 35 * len(runs), 250),
        column_config={
            "run": st.column_config.TextColumn("Run", width="large"),
            "status": "Status",
            "epochs": "Epochs",
            "time": "Training time",
            "ap50": st.column_config.NumberColumn(
                "AP at IoU 0.5", format="%.3f", help="Against the truth, where it is known."
            ),
        },
        hide_index=True,
        placeholder="",
        key="train_runs",
        alt="All runs with status, epochs, time and score",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {run.id: panels.run_name(run) for run in runs}
        chosen = st.selectbox("Run", list(names), format_func=names.get, key="train_run")
        if st.button(
            "Open", icon=":material/folder_open:", disabled=chosen == open_id, key="train_open"
        ):
            with panels.told():
                state.open_run(chosen)
                panels.go("train")
        with st.popover("Delete", icon=":material/delete:"):
            st.write(f"Delete **{names[chosen]}** for good, with its network and all its epochs?")
            if st.button("Delete for good", type="primary", key="train_delete"):
                with panels.told():
                    delete_run(chosen)
                    if chosen == open_id:
                        st.session_state[state.RUN] = None
                        st.query_params.pop("run", None)
                    st.rerun()
    if n_damaged:
        st.caption(f"{n_damaged} folders beside these cannot be read.")


open_id = opened.path.name if opened else None
all_runs()

with panels.told():
    data = code.data_code(state.choices(), cached.whole_image(), cached.region())
    edited = state.edited_markers() is not None
    panels.footer("train", code.train_code(data, state.choices(), edited=edited))
