"""A headless Chromium, driven through two pipes by the Chrome DevTools Protocol. The standard library is all it needs."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find():
    """The path of a Chromium of this machine, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """A browser, which ends with the block that it is opened in."""

    def __init__(self, path):
        self.folder = tempfile.TemporaryDirectory(prefix="pleiad-page-", ignore_cleanup_errors=True)
        to_read, self.write = os.pipe()
        self.read, to_write = os.pipe()
        arguments = [
            path, "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
            "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking", f"--user-data-dir={self.folder.name}",
            # It runs neither as root nor in most containers, and the page is our own.
            "--no-sandbox",
        ]

        def pipes():
            # The protocol is spoken over descriptors 3 and 4; first out of the way of both.
            one, other = os.dup(to_read), os.dup(to_write)
            while one < 5:
                one = os.dup(one)
            while other < 5:
                other = os.dup(other)
            os.dup2(one, 3)
            os.dup2(other, 4)

        self.browser = subprocess.Popen(
            [*arguments, "about:blank"], preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self.number, self.left, self.events = 0, b"", []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.browser.kill()
        self.browser.wait()
        os.close(self.write)
        os.close(self.read)
        self.folder.cleanup()

    def receive(self, until):
        """The next message, or None once the time is over."""
        while b"\0" not in self.left:
            if not select.select([self.read], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            part = os.read(self.read, 1 << 20)
            if not part:
                raise RuntimeError("Chromium has ended")
            self.left += part
        message, self.left = self.left.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, seconds=60, **parameters):
        """Calls a method of the protocol; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data) :]
        until = time.monotonic() + seconds
        while (answer := self.receive(until)) is not None:
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)
        raise RuntimeError(f"{method} was not answered within {seconds} s")

    def tab(self):
        """A new tab."""
        return Tab(self)


class Tab:
    """A page that is open."""

    def __init__(self, browser):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def screen(self, width, height, dark):
        """Sets the size of the screen and its colours."""
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        colours = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[colours])

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.wait(f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'", f"{address} opens")

    def js(self, expression):
        """The value of an expression, which may be a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression, what, seconds=60):
        """Waits until an expression is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.js(f"Boolean({expression})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {seconds} s; the page shows\n{self.js('document.body.innerText')}")

    def key(self, name, code=0, text=None):
        """Presses a key."""
        more = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    def shoot(self, path):
        """A picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

    def complaints(self):
        """What the console has said: errors, warnings and exceptions."""
        self.js("0")
        said = []
        for event in self.browser.events:
            about = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                said.append(str(about["exceptionDetails"].get("exception", about["exceptionDetails"])))
            if event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
                said.append(str([argument.get("value") for argument in about["args"]]))
            if event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
                said.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        return said

    def addresses(self):
        """Where the page has asked for something."""
        events = (event for event in self.browser.events if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in events]
