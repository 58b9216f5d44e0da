"""Answers of the server are those of the classifier, whatever the form of the request; others are refused."""

from __future__ import annotations

import base64
import io
import json
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rehearsal.encoded import ENCODED, stored
from rehearsal.served import CLASSES, FILES, FORM, PIXELS, SPEC, Talk, form, small, talking
from striate.classifier import Failure, Prediction, Prepared
from striate.core.errors import ConfigError
from striate.serving import Limits, Refusal
from striate.serving.bodies import images_in
from striate.serving.openapi import openapi


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    with talking(limits=Limits(batch=4, images=4, queue=8, body=200_000, pixels=10_000)) as found:
        yield found


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def check(row: dict[str, Any], number: int) -> None:
    """Compare the entry of an answer with the classifier's own prediction."""
    expected = small().predict(FILES[number])
    assert row["label"] == expected.label
    assert row["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_an_image_alone_is_answered_as_by_the_classifier(talk: Talk, kind: str) -> None:
    answer = talk.post("/predict", FILES[0], kind)
    assert answer.status_code == 200
    assert {key: answer.json()[key] for key in ("model", "version")} == {"model": "net", "version": "1"}
    check(answer.json()["predictions"][0], 0)


def test_images_together_are_answered_in_their_order(talk: Talk) -> None:
    document = json.dumps({"images": [text(FILES[0]), "data:image/png;base64," + text(FILES[1]), text(FILES[2])]})
    for body, kind in ((form(*FILES), FORM), (document.encode(), "application/json")):
        rows = talk.post("/models/net/predict", body, kind).json()["predictions"]
        assert len(rows) == 3
        for number, row in enumerate(rows):
            check(row, number)
    names = [row["name"] for row in talk.post("/predict", form(*FILES), FORM).json()["predictions"]]
    assert names == ["a.png", "b.png", "c.png"]


def test_every_kind_of_file_is_decoded_as_elsewhere(talk: Talk) -> None:
    for name, make in ENCODED.items():
        (row,) = talk.post("/predict?top=3", make()).json()["predictions"]
        assert row["probabilities"] == pytest.approx(small().predict(make()).probabilities, abs=1e-6), name


def test_one_unreadable_image_does_not_keep_others_from_their_answers(talk: Talk) -> None:
    answer = talk.post("/predict", form(FILES[0], b"text", FILES[2]), FORM)
    assert answer.status_code == 200
    rows = answer.json()["predictions"]
    assert rows[1] == {"name": "b.png", "error": "The image cannot be read: not an image."}
    check(rows[2], 2)
    alone = talk.post("/predict", FILES[0][:-20])
    assert alone.status_code == 422
    assert "truncated" in alone.json()["predictions"][0]["error"]


def test_the_number_of_classes_can_be_chosen(talk: Talk) -> None:
    (row,) = talk.post("/predict?top=1", FILES[0]).json()["predictions"]
    assert row["probabilities"] == {row["label"]: row["probability"]}


BAD = {
    "another type": (415, "text/html", b"<p>", "image/jpeg"),
    "a form without a boundary": (400, "multipart/form-data", form(FILES[0]), "boundary"),
    "a truncated form": (400, FORM, form(FILES[0])[:-9], "truncated"),
    "a damaged form": (400, FORM, b"--YY\r\n\r\n", "damaged"),
    "an empty form": (400, FORM, b"--XX--\r\n", "no image"),
    "a field that is no file": (
        400,
        FORM,
        b'--XX\r\nContent-Disposition: form-data; name="top"\r\n\r\n3\r\n--XX--\r\n',
        "'top'",
    ),
    "too many files": (413, FORM, form(*FILES, *FILES), "at most 4 images"),
    "too many bytes": (413, "image/png", b"x" * 200_001, "200,000 bytes"),
    "no JSON": (400, "application/json", b"{", "JSON"),
    "deep JSON": (400, "application/json", b"[" * 100_000, "JSON"),
    "other JSON": (400, "application/json", b"[]", "images"),
    "no base64": (400, "application/json", b'{"images": ["%"]}', "base64"),
    "numbers": (400, "application/json", b'{"images": [1]}', "base64"),
    "no JSON images": (400, "application/json", b'{"images": []}', "no image"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_request_is_refused_with_a_sentence(talk: Talk, case: str) -> None:
    status, kind, body, words = BAD[case]
    answer = talk.post("/predict", body, kind)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predict?top=0", 400),
        ("/predict?top=x", 400),
        (f"/predict?top={'1' * 5000}", 400),
        ("/predict?explain=maybe", 400),
        ("/predict?explain=1", 400),
        ("/models/nett/predict", 404),
        ("/v2/models/net/versions/9/infer", 404),
        ("/other", 404),
    ],
)
def test_a_wrong_address_is_refused_with_a_sentence(talk: Talk, path: str, status: int) -> None:
    answer = talk.post(path, FILES[0])
    assert (answer.status_code, answer.json()["error"][-1]) == (status, "." if path != "/models/nett/predict" else "?")


def test_a_body_of_unknown_length_ends_at_the_limit(talk: Talk) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 10_000
            yield bytes(10_000)

    assert talk.client.post("/predict", content=endless()).status_code == 413
    assert talk.service._admission.bytes == 0


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(talk: Talk) -> None:
    (row,) = talk.post("/predict", stored(Image.new("1", (101, 100)), "PNG")).json()["predictions"]
    assert "too many pixels (101×100; at most 10,000 are read)" in row["error"]


def tensor(**fields: Any) -> bytes:
    return json.dumps({"id": "7", "inputs": [{"name": "image", **fields}]}).encode()


def column(answer: Any, name: str) -> Any:
    (found,) = [output for output in answer.json()["outputs"] if output["name"] == name]
    return found["data"]


@pytest.mark.parametrize(
    "body",
    [
        tensor(datatype="BYTES", shape=[3], data=[text(file) for file in FILES]),
        tensor(datatype="UINT8", shape=[3, 33, 21, 3], data=PIXELS.ravel().tolist()),
        tensor(datatype="UINT8", shape=[3, 33, 21, 3], data=PIXELS.tolist()),
        tensor(datatype="FP32", shape=[3, 33, 21, 3], data=(PIXELS / 255).ravel().tolist()),
    ],
    ids=["files", "levels", "lists", "floats"],
)
def test_the_open_inference_protocol_gives_the_same_answers(talk: Talk, body: bytes) -> None:
    answer = talk.post("/v2/models/net/infer", body, "application/json")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["model_name"], answer.json()["id"]) == ("net", "7")
    found = np.reshape(column(answer, "probabilities"), (3, 3))
    for number, row in enumerate(found.tolist()):
        expected = small().predict(FILES[number])
        assert dict(zip(CLASSES, row, strict=True)) == pytest.approx(expected.probabilities, abs=1e-5)
        assert column(answer, "label")[number] == expected.label
    assert column(answer, "none_of_these") == [False] * 3


def test_binary_tensors_are_read_and_written(talk: Talk) -> None:
    data = b"".join(struct.pack("<I", len(file)) + file for file in FILES)
    fields = {"datatype": "BYTES", "shape": [3], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [{"name": "image", **fields}], "parameters": {"binary_data_output": True}}).encode()
    answer = talk.post("/v2/models/net/infer", head + data, **{"Inference-Header-Content-Length": str(len(head))})
    length = int(answer.headers["Inference-Header-Content-Length"])
    outputs = json.loads(answer.content[:length])["outputs"]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    assert sum(sizes) == len(answer.content) - length
    found = np.frombuffer(answer.content, "<f4", 9, length).reshape(3, 3)
    expected = [small().predict(file).probabilities for file in FILES]
    np.testing.assert_allclose(found, [[each[name] for name in CLASSES] for each in expected], atol=1e-6)


AN_IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "one input"),
        (tensor(datatype="INT64", shape=[1], data=[1]), "BYTES, UINT8 or FP32"),
        (tensor(datatype=["UINT8"], shape=[1], data=[1]), "BYTES, UINT8 or FP32"),
        (json.dumps({"inputs": [{**AN_IMAGE, "name": "pixels"}]}).encode(), "is called image; received 'pixels'"),
        (tensor(datatype="UINT8", shape=[1, 2, 2], data=[1]), "[n, height, width, channels]"),
        (tensor(datatype="UINT8", shape=[1, 3, 5, 5], data=[1] * 75), "has 3 channels, and they are last"),
        (tensor(datatype="BYTES", shape=[1] * 1000, data=[text(b"x")]), "of BYTES is [n]"),
        (tensor(datatype="BYTES", shape=[1, 10**4000], data=[]), "positive whole numbers"),
        (tensor(datatype="UINT8", shape=[1, 1, 1, 10**4000], data=[]), "positive whole numbers"),
        (tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[1, 2]), "3 values"),
        (tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[1, 2, 300]), "from 0 to 255"),
        (tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[1, "2", 3]), "are numbers"),
        (tensor(datatype="FP32", shape=[1, 1, 1, 3], data=[1, None, 3]), "are numbers"),
        (tensor(datatype="FP32", shape=[1, 1, 1, 3], data=[1, 10**400, 3]), "within the range"),
        (tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[[1], 2, 3]), "one depth"),
        (tensor(datatype="UINT8", shape=[1, 1, -1, 3], data=[]), "positive"),
        (tensor(datatype="UINT8", shape=[1, 10**9, 10**9, 3], data=[]), "at most 10,000 pixels"),
        (tensor(datatype="BYTES", shape=[9], data=[]), "at most 4 images"),
        (tensor(datatype="BYTES", shape=[1]), "in data"),
        (tensor(datatype="BYTES", shape=[1], data=[text(b"x")]), "image 1 cannot be read: not an image"),
        (tensor(datatype="FP32", shape=[1, 1, 1, 3], data=[1e39, 0, 0]), "not finite"),
        (tensor(datatype="BYTES", shape=[1], parameters={"binary_data_size": "3" * 999}), "JSON, here 0."),
        (json.dumps({"inputs": [AN_IMAGE], "outputs": [{"name": ["label"]}]}).encode(), "The outputs are"),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_a_sentence(talk: Talk, body: bytes, words: str) -> None:
    answer = talk.post("/v2/models/net/infer", body, "application/json")
    assert answer.status_code in (400, 413)
    assert words in answer.json()["error"]


@pytest.mark.parametrize("length", ["0" * 5000, "-1", "9" * 30])
def test_a_length_of_the_header_that_is_none_is_refused(talk: Talk, length: str) -> None:
    answer = talk.post("/v2/models/net/infer", b"{}", **{"Inference-Header-Content-Length": length})
    assert answer.status_code == 400
    assert "is the number of bytes of the JSON" in answer.json()["error"]


def test_a_document_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Refusal, match="at most 1,000,000 values"):
        images_in("application/json", b"[" + b"1," * 1_000_001 + b"1]", Limits())


def test_models_are_described_without_their_path(talk: Talk) -> None:
    (model,) = talk.client.get("/models").json()["models"]
    assert (model["name"], model["classes"], model["network"]) == ("net", list(CLASSES), "mlp")
    assert talk.client.get("/v2/models/net").json()["inputs"][1]["shape"] == [-1, -1, -1, 3]
    for path in ("/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/net/ready"):
        assert talk.client.get(path).status_code == 200, path


def test_the_description_of_the_interface_names_every_route(talk: Talk) -> None:
    described = openapi(["net"], Limits())
    routes = {route.path for route in talk.service.routes()}
    own = {"/", "/openapi.json", "/v2/health/live", "/v2/health/ready"}
    assert set(described["paths"]) == {path for path in routes - own if "{version}" not in path}
    assert talk.client.get("/openapi.json").json()["openapi"] == "3.1.0"


def test_the_page_allows_only_its_own_script(talk: Talk) -> None:
    answer = talk.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in answer.text.replace("http://www.w3.org", "")


def test_a_token_is_needed_where_one_is_set() -> None:
    with talking(token="secret") as talk:
        assert talk.post("/predict", FILES[0]).status_code == 401
        assert talk.post("/predict", FILES[0], authorization="Bearer secre").status_code == 401
        for path in ("/models", "/openapi.json", "/v2/models/net"):
            assert talk.client.get(path).status_code == 401
        assert talk.client.get("/metrics").headers["www-authenticate"] == "Bearer"
        assert talk.client.get("/healthz").status_code == 200
        assert talk.post("/predict", FILES[0], authorization="Bearer secret").status_code == 200


def test_another_name_of_this_machine_is_refused(talk: Talk) -> None:
    assert talk.client.get("/models", headers={"host": "evil.example"}).status_code == 421
    assert talk.client.get("/models", headers={"host": "localhost:8000"}).status_code == 200


def test_a_long_head_is_refused(talk: Talk) -> None:
    assert talk.client.get("/models", headers={"x": "x" * 17_000}).status_code == 431
    assert talk.client.get(f"/{'x' * 17_000}").status_code == 431


def test_requests_are_logged_and_counted_and_keep_their_identifier() -> None:
    with talking() as talk:
        assert talk.post("/predict", FILES[0], **{"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
        assert talk.post("/predict", b"x", **{"x-request-id": "a b\n"}).headers["x-request-id"] != "a b\n"
        metrics = talk.client.get("/metrics").text
    assert 'striate_requests_total{route="predict",status="200"} 1.0' in metrics
    assert 'striate_images_total{model="net",outcome="unreadable"} 1.0' in metrics
    first = json.loads(talk.lines.getvalue().splitlines()[0])
    assert (first["event"], first["request"], first["status"], first["path"]) == ("request", "abc-1", 200, "/predict")


class Slow:
    """A model that waits for `go` before it answers."""

    def __init__(self) -> None:
        self.own, self.go, self.began, self.seen = small(), threading.Event(), threading.Event(), 0
        self.labels, self.task, self.members = self.own.labels, self.own.task, self.own.members

    def prepared(self, image: Any, name: str) -> Prepared | Failure:
        return self.own.prepared(image, name)

    def answered(self, images: Sequence[Prepared]) -> list[Prediction | Failure]:
        if images[0].name != "warm-up":
            self.began.set()
            self.go.wait(10)
            self.seen += len(images)
        return self.own.answered(images)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr("striate.serving.hosting.input_of", lambda model: SPEC)
    return Slow()


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(slow: Slow) -> None:
    with talking([slow], Limits(batch=1, queue=2, images=2, body=10_000)) as talk:
        first = threading.Thread(target=talk.post, args=("/predict", form(*FILES[:2]), FORM))
        first.start()
        assert slow.began.wait(5)
        start = time.perf_counter()
        answer = talk.post("/predict", FILES[0])
        assert time.perf_counter() - start < 1
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert talk.post("/predict", bytes(10_001)).status_code == 503  # before the body is looked at
        slow.go.set()
        first.join()
        assert talk.post("/predict", FILES[0]).status_code == 200
        assert talk.service._admission.images == talk.service._admission.bytes == 0


def test_an_answer_that_is_too_late_is_not_computed(slow: Slow) -> None:
    with talking([slow], Limits(batch=1, seconds=0.2)) as talk:
        answer = talk.post("/predict", form(*FILES), FORM)
        assert answer.status_code == 504
        slow.go.set()
        check_slow = talk.post("/predict", FILES[0])
        assert check_slow.status_code == 200
    assert slow.seen == 2  # the one that had begun, and the last one


def test_a_defect_is_answered_with_500_and_logged_with_its_traceback(slow: Slow) -> None:
    def fail(images: Sequence[Prepared]) -> list[Prediction | Failure]:
        raise RuntimeError("/secret/path")

    with talking([slow]) as talk:
        slow.answered = fail
        answer = talk.post("/predict", FILES[0])
    assert answer.status_code == 500
    assert answer.json()["error"].startswith("The server failed at this request; its log has it as ")
    assert answer.headers["x-request-id"] in answer.json()["error"]
    assert "secret" not in answer.text
    assert "/secret/path" in talk.lines.getvalue()


def test_limits_that_contradict_each_other_are_refused() -> None:
    for wrong in ({"batch": 0}, {"delay": -1.0}, {"images": 200}, {"body": 1 << 40}, {"seconds": float("nan")}):
        with pytest.raises(ConfigError):
            Limits(**wrong)  # pyright: ignore[reportArgumentType]


def test_an_explanation_is_a_png_of_the_size_of_the_input() -> None:
    from rehearsal.classifiers import untrained
    from striate.verbs.serve import _explain

    with talking([untrained("lenet5", SPEC, CLASSES)], explain=_explain) as talk:
        answer = talk.post("/predict?explain=true", FILES[0])
        assert answer.status_code == 200, answer.text
        png = base64.b64decode(answer.json()["predictions"][0]["explanation"])
        assert Image.open(io.BytesIO(png)).size == (16, 20)
        assert talk.post("/predict?explain=true", form(*FILES), FORM).status_code == 400
