"""A report page in headless Chromium, for report_test.py: opens files, reads the page, presses keys."""

import base64
import json
import os
import shutil
import subprocess
import time

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
OPEN_TIMEOUT_S = 60


def missing():
    """What this machine lacks for the test, or None."""
    if not CHROMIUM or not DRIVER:
        return "chromium and chromedriver"
    if not shutil.which("pdftotext"):
        return "pdftotext (poppler-utils)"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "python3-selenium"
    return None


class Browser:
    """One window. Everything that the page prints to the console is kept."""

    def __init__(self, width=1280, height=900, dark=False):
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = CHROMIUM
        for argument in ["--headless=new", "--disable-dev-shm-usage", "--hide-scrollbars", f"--window-size={width},{height}",
                         "--force-device-scale-factor=1", "--disable-background-networking"]:
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium's sandbox refuses root
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.media(scheme="dark" if dark else "light")

    def media(self, scheme="light", media=""):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, path):
        self.driver.get("file://" + os.path.abspath(path))
        end = time.monotonic() + OPEN_TIMEOUT_S
        while time.monotonic() < end:
            if self.js("return document.documentElement.dataset.ready || document.documentElement.dataset.failed"):
                return
            time.sleep(0.05)
        raise AssertionError(f"{path}: not drawn after {OPEN_TIMEOUT_S} s")

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def settle(self):
        """Waits until the frames that an action asked for are drawn."""
        self.driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));")

    def keys(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
        self.settle()

    def point_at(self, x, y, click=False):
        """The pointer at a place of the window."""
        for kind in ["mouseMoved"] + (["mousePressed", "mouseReleased"] if click else []):
            self.driver.execute_cdp_cmd("Input.dispatchMouseEvent",
                                        {"type": kind, "x": x, "y": y, "button": "left" if kind != "mouseMoved" else "none", "clickCount": 1})
        self.settle()

    def console(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """Addresses that the page asked for, by the browser's own account."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def pdf(self, path):
        page = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": False,
                                                               "paperWidth": 8.27, "paperHeight": 11.69})
        with open(path, "wb") as out:
            out.write(base64.b64decode(page["data"]))
        return path

    def close(self):
        self.driver.quit()


def pdf_text(path):
    return subprocess.run(["pdftotext", "-raw", path, "-"], check=True, capture_output=True, text=True).stdout
