"""A visitor without a browser: one session of an app, over the protocol of Streamlit.

It does what the front end of Streamlit 1.67 does: it asks for a run of the script, keeps the
elements that come, sends the states of widgets back, repeats the runs of fragments that ask for it,
and keeps large messages, which the server then sends only once. It draws nothing and fetches no
files. So thirty of them fit on a machine beside the server that they visit.

Every wait has a limit, after which it raises a TimeoutError that says what was on the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

LONGEST = 120.0
"""Seconds after which something is taken to hang."""

OK = ForwardMsg.FINISHED_SUCCESSFULLY
EARLY = ForwardMsg.FINISHED_EARLY_FOR_RERUN


@dataclass
class Shown:
    """An element or a block on the page.

    Attributes
    ----------
    kind : str
        Such as "slider"; "block" for a block.
    what : protobuf message
        Its contents.
    run : str
        The run of the script that sent it.
    fragment : str
        The fragment that it belongs to; empty if to none.
    at : float
        When it came, by `time.perf_counter`.
    """

    kind: str
    what: Any
    run: str
    fragment: str
    at: float


class Visitor:
    """One session; see `visiting`.

    Attributes
    ----------
    query : dict of str to str
        The parameters in the address, as a browser would show it.
    page : str
        Hash of the page that is shown.
    came : list of Shown
        All elements since the last action, in order, also those that others have replaced since.
    n_runs : int
        How many runs of the whole script have ended since the last action, without those that were
        begun again half way.
    n_bytes : int
        Bytes received so far.
    on_message : callable, optional
        Called with each message as it came.
    """

    def __init__(self, socket: Any, *, query: str = "") -> None:
        self._socket = socket
        self._shown: dict[tuple[int, ...], Shown] = {}
        self._states: dict[str, WidgetState] = {}
        self._kept: dict[str, tuple[ForwardMsg, int]] = {}
        self._longest_kept = self._n_finished = 0
        self._repeated: dict[str, asyncio.Task[None]] = {}
        self._run = ""
        self._news = asyncio.Event()
        self._end: BaseException | None = None
        self._reading: asyncio.Task[None] | None = None
        self._query = query
        self.page = ""
        self.came: list[Shown] = []
        self.n_runs = 0
        self.n_bytes = 0
        self.on_message: Callable[[bytes], None] | None = None

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self._query).items()}

    # What it does ---------------------------------------------------------------------------------

    async def open(self, page: str = "") -> None:
        """Open a page by its name in the address; empty for the first one."""
        await self._ask(page_name=page)

    async def go(self, label: str) -> None:
        """Click the link to another page in the navigation; a message may hold one, too."""
        link = next(one for one in self.all("page_link") if named(one.label, label))
        if link.page_script_hash != self.page:
            self._query = link.query_string
        self.page = link.page_script_hash
        self._states.clear()
        await self._ask()

    async def click(self, label: str) -> None:
        """Click a button."""
        await self._ask(WidgetState(id=self.one("button", label).id, trigger_value=True))

    async def switch(self, label: str, on: bool) -> None:
        """Switch a toggle or checkbox."""
        await self._change(WidgetState(id=self.one("checkbox", label).id, bool_value=on))

    async def slide(self, label: str, stop: str) -> None:
        """Move a slider over options to one of them."""
        slider = self.one("slider", label)
        if stop not in slider.options:
            raise ValueError(f"{label!r} has no stop {stop!r}, but {list(slider.options)}")
        state = WidgetState(id=slider.id)
        state.string_array_value.data.append(stop)
        await self._change(state)

    async def _change(self, state: WidgetState) -> None:
        self._states[state.id] = state
        await self._ask()

    async def _ask(self, *triggers: WidgetState, page_name: str = "") -> None:
        """Ask for a run of the whole script."""
        self.came.clear()
        self.n_runs = 0
        await self._send_rerun(*triggers, page_name=page_name)

    async def _send_rerun(self, *triggers: WidgetState, **asked: Any) -> None:
        message = BackMsg()
        state = message.rerun_script
        for name, value in asked.items():
            setattr(state, name, value)
        state.query_string = self._query
        state.page_script_hash = self.page
        state.widget_states.widgets.extend([*self._states.values(), *triggers])
        state.cached_message_hashes.extend(self._kept)
        await self._socket.send(message.SerializeToString())

    # What is on the page --------------------------------------------------------------------------

    def all(self, kind: str) -> list[Any]:
        """Return the elements of a kind, in the order of the page."""
        places = sorted(self._shown)
        return [self._shown[place].what for place in places if self._shown[place].kind == kind]

    def one(self, kind: str, label: str) -> Any:
        """Return the element of that label; of a link that also states a status, its beginning.

        Raises
        ------
        LookupError
            If there is none, or there are several.
        """
        found = [one for one in self.all(kind) if named(one.label, label)]
        if len(found) != 1:
            there = [one.label for one in self.all(kind)]
            raise LookupError(f"{len(found)} × {kind} {label!r} on the page, which has {there}")
        return found[0]

    def has(self, kind: str, label: str) -> bool:
        """Return whether there is such an element."""
        return any(named(one.label, label) for one in self.all(kind))

    def stop_of(self, label: str) -> str:
        """Return the option that a slider over options stands at."""
        return str(self._states[self.one("slider", label).id].string_array_value.data[0])

    def texts(self) -> Iterator[str]:
        """Yield the texts of headings, paragraphs, messages and numbers."""
        for kind in ("heading", "markdown", "alert", "exception", "metric", "code"):
            for one in self.all(kind):
                yield (
                    one.message
                    if kind == "exception"
                    else getattr(one, "body", "") or (one.code_text if kind == "code" else "")
                )

    def troubles(self) -> list[str]:
        """Return the errors on the page."""
        return [one.body for one in self.all("alert") if one.format == one.ERROR] + [
            one.message for one in self.all("exception")
        ]

    # Waiting --------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], *, limit: float = LONGEST) -> None:
        """Wait until something holds, which is looked at after every message.

        Raises
        ------
        TimeoutError
            If it does not hold after `limit` seconds.
        ConnectionError
            If the server has closed the connection.
        """
        end = time.monotonic() + limit
        while not condition():
            if self._end is not None:
                raise ConnectionError("the server has closed the connection") from self._end
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), end - time.monotonic())
            except TimeoutError:
                seen = " / ".join(text for text in self.texts() if text)[:500]
                raise TimeoutError(f"not within {limit:g} s; on the page: {seen}") from None

    async def settled(self, *, limit: float = LONGEST) -> None:
        """Wait until the script has ended that the last action asked for."""
        await self.until(lambda: self.n_runs > 0, limit=limit)

    # What comes -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                self.n_bytes += len(data)
                if self.on_message is not None:
                    self.on_message(data)
                self._take(ForwardMsg.FromString(data))
                self._news.set()
        except BaseException as error:
            self._end = error
            if not isinstance(error, ConnectionClosed):
                raise
        finally:
            self._end = self._end or ConnectionError("closed")
            self._news.set()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            kept, _ = self._kept[message.ref_hash]
            self._kept[message.ref_hash] = kept, self._n_finished
            self._show(kept.delta, tuple(message.metadata.delta_path))
        elif kind == "delta":
            if message.metadata.cacheable:
                self._kept[message.hash] = message, self._n_finished
            self._show(message.delta, tuple(message.metadata.delta_path))
        elif kind == "new_session":
            run = message.metadata.run
            self._run = run.script_run_id
            self._longest_kept = message.new_session.config.max_cached_message_age
            if not run.fragment_ids:
                self.page = message.new_session.page_script_hash
                self._repeat_none()
        elif kind == "script_finished":
            self._finish(message)
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            asked = message.auto_rerun
            self._repeat_none(asked.fragment_id)
            again = self._repeat(asked.fragment_id, asked.interval)
            self._repeated[asked.fragment_id] = asyncio.create_task(again)
        elif kind == "stop_auto_rerun":
            self._repeat_none(*message.stop_auto_rerun.fragment_ids)

    def _show(self, delta: Any, place: tuple[int, ...]) -> None:
        what = delta.WhichOneof("type")
        if what == "new_transient":
            return  # A spinner, beside what is there.
        if what == "add_block":
            shown = Shown("block", delta.add_block, self._run, delta.fragment_id, 0.0)
        else:
            kind = delta.new_element.WhichOneof("type") or "empty"
            contents = getattr(delta.new_element, kind)
            at = time.perf_counter()
            shown = Shown(kind, contents, self._run, delta.fragment_id, at)
            self.came.append(shown)
            self._mount(kind, contents)
            below = len(place)
            for other in [one for one in self._shown if one[:below] == place]:
                del self._shown[other]
        self._shown[place] = shown

    def _mount(self, kind: str, contents: Any) -> None:
        """Keep the state that a widget has once it is on the page."""
        read = STATES.get(kind)
        if read is None or (contents.id in self._states and not contents.set_value):
            return
        self._states[contents.id] = read(contents)

    def _finish(self, message: ForwardMsg) -> None:
        if message.script_finished == EARLY:
            return
        run = message.metadata.run
        fragments = set(run.fragment_ids)
        self._n_finished += 1
        for key, (_, used) in list(self._kept.items()):
            if self._n_finished - used > self._longest_kept:
                del self._kept[key]
        for place, one in list(self._shown.items()):
            if one.run != run.script_run_id and (not fragments or one.fragment in fragments):
                del self._shown[place]
        there = {getattr(one.what, "id", "") for one in self._shown.values()}
        self._states = {key: state for key, state in self._states.items() if key in there}
        if not fragments:
            self.n_runs += message.script_finished == OK

    async def _repeat(self, fragment: str, interval: float) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:  # Until the page is left, or the connection is closed.
                await asyncio.sleep(interval)
                await self._send_rerun(fragment_id=fragment, is_auto_rerun=True)

    def _repeat_none(self, *fragments: str) -> None:
        """Repeat these fragments no longer; without any, none at all."""
        for fragment in fragments or tuple(self._repeated):
            task = self._repeated.pop(fragment, None)
            if task is not None:
                task.cancel()


def named(text: str, label: str) -> bool:
    """Return whether a text is that label, perhaps in colour and with a status behind it.

    Examples
    --------
    >>> named(":green[Mask · done]", "Mask"), named("Mask", "Mas")
    (True, False)
    """
    plain = text.partition("[")[2].rstrip("]") if text.startswith(":") and "[" in text else text
    return plain.partition(" · ")[0] == label


def _of_slider(slider: Any) -> WidgetState:
    state = WidgetState(id=slider.id)
    if not slider.options:
        state.double_array_value.data.extend(slider.value if slider.set_value else slider.default)
    elif slider.set_value:
        state.string_array_value.data.extend(slider.raw_value)
    else:
        chosen = (slider.options[int(number)] for number in slider.default)
        state.string_array_value.data.extend(chosen)
    return state


def _of_checkbox(box: Any) -> WidgetState:
    return WidgetState(id=box.id, bool_value=box.value if box.set_value else box.default)


def _of_selectbox(box: Any) -> WidgetState:
    state = WidgetState(id=box.id)
    if box.set_value:
        state.string_value = box.raw_value
    elif box.options:
        state.string_value = box.options[box.default]
    return state


def _of_number(box: Any) -> WidgetState:
    number = box.value if box.set_value else box.default
    if box.data_type == box.INT:
        return WidgetState(id=box.id, int_value=int(number))
    return WidgetState(id=box.id, double_value=number)


STATES: dict[str, Callable[[Any], WidgetState]] = {
    "slider": _of_slider,
    "checkbox": _of_checkbox,
    "selectbox": _of_selectbox,
    "number_input": _of_number,
}
"""For each kind of widget that has a state from the start, what reads it."""


@contextlib.asynccontextmanager
async def visiting(url: str, *, query: str = "") -> Any:
    """Connect to a server as one visitor, who has opened no page yet.

    Parameters
    ----------
    url : str
        Of the app, such as http://127.0.0.1:8501.
    query : str
        The parameters in the address, such as "draft=ID".

    Yields
    ------
    Visitor
    """
    address = f"ws{url.removeprefix('http')}/_stcore/stream"
    async with connect(
        address, subprotocols=["streamlit"], max_size=None, open_timeout=LONGEST
    ) as socket:
        visitor = Visitor(socket, query=query)
        visitor._reading = asyncio.create_task(visitor._read())
        try:
            yield visitor
        finally:
            visitor._repeat_none()
            visitor._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await visitor._reading
