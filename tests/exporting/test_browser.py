"""The program for a page answers as the classifier, in Chromium.

`make browser` runs it. pip installs neither Chromium nor the npm package onnxruntime-web, whose folder `dist` is
`STRIATE_ORT_WEB`.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.classifiers import recognizing, untrained
from rehearsal.encoded import ENCODED
from striate.core.spec import RGB, InputSpec
from striate.data.images.decode import decode
from striate.exporting import export_classifier, synthetic_judges
from striate.exporting.onnx_files import Onnx

CHROMIUM = shutil.which("chromium")
LIBRARY = os.environ.get("STRIATE_ORT_WEB", "")
NOT_EXACT = {"16 bits": 5e-3, "alpha": 5e-3, "grey and alpha": 1e-3}  # a page has 8 bits, rounded by the browser
PAGE = """<script type="module">
const answers = [];
try {
  const ort = await import("/dist/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  const { load } = await import("/export/predict.js");
  const classifier = await load(ort, "/export/model.onnx");
  for (let index = 0; index < COUNT; index += 1) {
    answers.push(await classifier.predict(await (await fetch(`/${index}`)).blob()));
  }
} catch (error) {
  answers.push(String(error));
}
await fetch("/answers", { method: "POST", body: JSON.stringify(answers) });
</script>"""

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and LIBRARY), reason="needs Chromium and onnxruntime-web of npm: make browser"
)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, queue.Queue[Any]]]:
    """Serve `folder` on this machine; the queue receives what pages post."""
    posted: queue.Queue[Any] = queue.Queue()

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}  # noqa: RUF012

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_POST(self) -> None:
            posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/page.html", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("channels", [RGB, RGB[::-1]])
def test_a_page_answers_as_the_classifier(channels: tuple[str, ...], tmp_path: Path) -> None:
    spec = InputSpec(
        channels=channels, height=64, width=64, mean=(0.5,) * 3, std=(0.1,) * 3, background=0.75, decode_scale=0,
        crop=0.875,
    )  # fmt: skip
    encoded = {name: encode() for name, encode in ENCODED.items()}
    bare = untrained("tiny_vgg", spec, ("a", "b", "c", "d"), at=0.1)
    classifier = recognizing(bare, [image for image in map(decode, encoded.values()) if image.channels == RGB])
    about = {"data": "", "accuracy": None, "licence": ""}
    export_classifier(classifier, Onnx(network=False), tmp_path / "export", synthetic_judges(spec, 1), about=about)
    shutil.copytree(LIBRARY, tmp_path / "dist")
    for number, data in enumerate(encoded.values()):
        (tmp_path / str(number)).write_bytes(data)
    (tmp_path / "page.html").write_text(PAGE.replace("COUNT", str(len(encoded))), "utf-8")
    assert CHROMIUM
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    with served(tmp_path) as (address, posted):
        browser = subprocess.Popen([CHROMIUM, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            answers = posted.get(timeout=300)
        finally:
            browser.terminate()
            browser.wait()
    for (name, data), answer in zip(encoded.items(), answers, strict=True):
        expected = classifier.predict(data, coverage=0.95)
        assert answer["probabilities"][0][0] == expected.label, name
        assert dict(answer["probabilities"]) == pytest.approx(expected.probabilities, abs=NOT_EXACT.get(name, 1e-5)), (
            name
        )
        if name not in NOT_EXACT:
            assert answer["p_value"] == pytest.approx(expected.p_value), name
            assert answer["none_of_these"] == expected.none_of_these, name
            assert tuple(answer["among"]["0.95"]) == expected.among, name
    assert {answer["none_of_these"] for answer in answers} == {True, False}
