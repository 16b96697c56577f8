"""A headless Chromium that opens pages, spoken to through pipes in the DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What a page looks like once it is drawn: see `Browser.look`.
LOOK = (Path(__file__).parent / "browser_look.js").read_text()


class Browser:
    """One process for all pages of a test module; `close` ends it."""

    def __init__(self, profile: Path):
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()

        def connect() -> None:  # DevTools reads from descriptor 3 and writes to 4
            ends = os.dup(to_browser), os.dup(from_browser)
            for end, descriptor in zip(ends, (3, 4), strict=True):
                os.dup2(end, descriptor)

        line = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", "--hide-scrollbars",
                "--enable-unsafe-swiftshader", "about:blank"]  # fmt: skip
        self._process = subprocess.Popen(
            line, preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(to_browser), os.close(from_browser)
        self._buffer, self._count, self._session, self.complaints = b"", 0, None, []
        target = self._ask("Target.getTargets")["targetInfos"][0]["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._to), os.close(self._from)

    def open(self, file: Path, width: int = 1280, scheme: str = "light") -> None:
        """Open a page, and wait until its figures are drawn."""
        self.complaints = []
        self.resize(width)
        self.show_in(scheme)
        self._loaded = False
        self._ask("Page.navigate", url=f"file://{file}")
        self.wait_until("true", lambda: self._loaded)
        self.wait_until("!document.getElementById('figures') || document.documentElement.dataset.drawn")

    def resize(self, width: int, height: int = 900) -> None:
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)  # fmt: skip

    def show_in(self, scheme: str, media: str = "") -> None:
        """Light or dark; `media` may be print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", media=media, features=features)

    def evaluate(self, script: str):
        reply = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def wait_until(self, condition: str, also=lambda: True, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not (self.evaluate(f"!!({condition})") and also()):
            assert time.monotonic() < end, f"waited in vain for {condition}; {self.complaints}"
            time.sleep(0.02)

    def settle(self, drawn: int) -> int:
        """Wait until figures have been drawn more than `drawn` times, and no more; how often they have."""
        count = "Number(document.documentElement.dataset.drawn || 0)"
        begin, last = time.monotonic(), -1
        while True:
            now = self.evaluate(count)
            if now == last and (now > drawn or time.monotonic() > begin + 0.5):
                return now
            last = now
            time.sleep(0.1)

    def look(self) -> dict:
        """What is wider than the window, too pale, not drawn, not loaded."""
        return self.evaluate(LOOK)

    def screenshot(self, file: Path) -> None:
        """The whole page."""
        size = self.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        reply = self._ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(reply["data"]))

    def _ask(self, method: str, **params) -> dict:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._count:
                assert "error" not in reply, reply["error"]
                return reply["result"]
            self._note(reply)

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            part = os.read(self._from, 2**20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        """Keep what the page complains of, and whatever it asks the network for."""
        method, params = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps([arg.get("value", arg) for arg in params["args"]]))
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(
            ("file:", "data:", "blob:", "about:")
        ):
            self.complaints.append(f"asked for {params['request']['url']}")
