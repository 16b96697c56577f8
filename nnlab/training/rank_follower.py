"""A rank other than 0: it makes the fits that rank 0 names, trains its share of their stacks."""

from __future__ import annotations

import time
import traceback
import warnings

from nnlab import interruption
from nnlab.errors import Advice, MachineFault, UserError, describe_machine_fault
from nnlab.experiment import Experiment
from nnlab.runtime.ranks import Ranks
from nnlab.training.agreement import Agreement
from nnlab.training.checkpointing import POLL_SECONDS, StackStates
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState
from nnlab.training.rank_lines import line_to_first
from nnlab.training.rank_messages import Line, LostRank, Message
from nnlab.training.training import never


class Dismissed(Exception):
    """Rank 0 has ended, with that exit code."""

    def __init__(self, code: int):
        super().__init__(f"exit code {code}")
        self.code = code


def follow(own: Ranks) -> int:
    """Do as rank 0 says until it ends; returns its exit code. Raises `MachineFault` if it is lost."""
    follower = Follower(line_to_first(own), own)
    # From now on rank 0 decides what becomes of a signal.
    interruption.request_stop_on_signals()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)  # rank 0 gives it
        try:
            follower.run()
        except Dismissed as dismissed:
            return dismissed.code
        except LostRank as fault:
            raise MachineFault(f"{fault}{follower.how_to_go_on()}") from fault


class Follower:
    """What a rank does for rank 0, at the other end of the `line`."""

    def __init__(self, line: Line, own: Ranks):
        self.line, self.ranks = line, own
        self.cache = DataCache()
        self.fit: Fit | None = None
        self.resume_line = ""

    def run(self) -> None:
        """Obey, for ever. Raises `Dismissed` and `LostRank`."""
        while True:
            order = self.line.receive()
            if order.kind == "end":
                raise Dismissed(order.value)
            if order.kind in ("fit", "train") and (answer := self._carry_out(order)):
                self.line.send(answer)
                if answer.kind not in ("ready", "waiting"):
                    self.ranks.close()  # so that whoever shares batches with this rank does not wait for it

    def _carry_out(self, order: Message) -> Message | None:
        """Do what rank 0 wants; how it ended, unless rank 0 knows."""
        try:
            if order.kind == "fit":
                self._make_fit(order.value)
                return Message("ready")
            self.resume_line = order.value["resume"]
            if order.value["shares_batches"]:
                self._train_together(order.state)
                return None
            self._train(order.state)
            return Message("waiting")
        except (Dismissed, LostRank):
            raise
        except UserError as error:
            return Message("refused", str(error))
        except Exception as error:
            if self.ranks.has_lost_one:
                return None  # so has rank 0, or it is lost itself
            sentence = describe_machine_fault(error)
            return Message("fault", sentence) if sentence else Message("error", traceback.format_exc())

    def _make_fit(self, offer: dict) -> None:
        experiments = [Experiment.from_config(config) for config in offer["experiments"]]
        self.fit = Fit(experiments, self.cache, predictions=offer["predictions"])
        for e, fingerprint in zip(self.fit.experiments, offer["fingerprints"], strict=True):
            if self.cache.fingerprint(e) != fingerprint:
                raise UserError(
                    f"its data are not those of rank 0: data={e.data.name} must be the same on every machine"
                )

    def _train(self, state: FitState) -> None:
        """Train these stacks to their end, or until rank 0 says stop."""
        asked = Asked(self.line)
        for output in self.fit.train_share(state, asked.stop, asked.states):
            if isinstance(output, StackStates):
                self.line.send(Message.of_states(output))
                asked.states_sent()
            else:
                self.line.send(Message.of_output(*output))

    def _train_together(self, state: FitState) -> None:
        """Train all stacks, with a share of every batch."""
        together = Agreement(self.ranks, interruption.stop_requested, never)
        for _ in self.fit.train_share(state, together.should_stop, together.takes_states, self.ranks):
            pass  # rank 0 has the same

    def how_to_go_on(self) -> str:
        return f"; to go on from the last checkpoint: {self.resume_line}" if self.resume_line else ""


class Asked:
    """What rank 0 asks of a rank while it trains."""

    def __init__(self, line: Line):
        self.line = line
        self._states = self._stop = self._has_told = False
        self._last_look = 0.0

    def stop(self) -> bool:
        """Whether to end with the step under way."""
        self._look()
        return self._stop

    def states(self) -> bool:
        """Whether to send the states of all stacks."""
        self._look()
        return self._states

    def states_sent(self) -> None:
        self._states = False

    def _look(self) -> None:
        """Take in what rank 0 has said, and tell it of a signal."""
        now = time.monotonic()
        if now - self._last_look < POLL_SECONDS:
            return
        self._last_look = now
        if interruption.stop_requested() and not self._has_told:
            self._has_told = True
            self.line.send(Message("signal", interruption.last_signal()))
        while self.line.has_message():
            message = self.line.receive()
            self._states |= message.kind == "states"
            self._stop |= message.kind == "stop"
            if message.kind == "end":
                raise Dismissed(message.value)
