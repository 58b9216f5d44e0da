"""The description of the interface, as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from striate.serving.limits import Limits

_JSON = "application/json"


def openapi(models: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document of a server with these models."""
    model = _parameter("model", "path", {"type": "string", "enum": list(models)}, "The name of a model.")
    predict = _predict(limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Striate",
            "version": metadata.version("striate"),
            "description": "Classify images. The first model answers requests that name none.",
        },
        "paths": {
            "/predict": {"post": predict},
            "/models/{model}/predict": {"post": {**predict, "parameters": [model, *predict["parameters"]]}},
            "/models": {"get": _get("List the models, with their classes.", "Models")},
            "/healthz": {"get": _get("Say that the process runs.", "Health")},
            "/readyz": {"get": _get("Say whether new requests are wanted: not while the server ends.", "Health")},
            "/metrics": {"get": _get("Metrics in the text format of Prometheus.", "Health", kind="text/plain")},
            "/v2": {"get": _get("Describe the server.", _V2)},
            "/v2/models/{model}": {"get": {**_get("Describe a model.", _V2), "parameters": [model]}},
            "/v2/models/{model}/ready": {"get": {**_get("Say that a model is ready.", _V2), "parameters": [model]}},
            "/v2/models/{model}/infer": {"post": _infer(model)},
        },
        "components": {
            "schemas": {"Answer": _ANSWER, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


_V2 = "Open Inference Protocol"
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_PREDICTION = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "label": {"type": "string", "description": "The most probable class."},
        "probability": {"type": "number"},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        "labels": {"type": "array", "items": {"type": "string"}, "description": "Where an image has several classes."},
        "none_of_these": {"type": "boolean", "description": "Whether the image resembles none of the classes."},
        "similarity": {"type": "number", "description": "Of the nearest training image."},
        "p_value": {"type": "number", "description": "That the image is of one of the classes."},
        "explanation": {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
        "error": {"type": "string", "description": "In place of all others: why the image cannot be read."},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["model", "version", "predictions"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "string"},
        "predictions": {"type": "array", "items": _PREDICTION},
    },
}


def _predict(limits: Limits) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": limits.images}
    texts = {"type": "array", "items": {"type": "string", "contentEncoding": "base64"}, "maxItems": limits.images}
    return {
        "summary": "Classify images.",
        "description": (
            f"At most {limits.images} images in {limits.body:,} bytes. An image that cannot be read has an error in "
            "place of its classes; if that is all, the status is 422."
        ),
        "tags": ["Predictions"],
        "parameters": [
            _parameter("top", "query", {"type": "integer", "minimum": 1, "default": 5}, "Classes in an answer."),
            _parameter(
                "explain",
                "query",
                {"type": "boolean", "default": False},
                "Draw where the network looked, for one image.",
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {"type": "object", "properties": {"file": files}}},
                "image/*": binary,
                "application/octet-stream": binary,
                _JSON: {"schema": {"type": "object", "required": ["images"], "properties": {"images": texts}}},
            },
        },
        "responses": {
            "200": _response("The predictions, in the order of the images.", "Answer"),
            "422": _response("No image can be read.", "Answer"),
            **_REFUSALS,
        },
    }


def _infer(model: Mapping[str, Any]) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string", "const": "image"},
            "datatype": {"type": "string", "enum": ["BYTES", "UINT8", "FP32"]},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array"},
        },
    }
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor},
            "outputs": {"type": "array", "items": {"type": "object"}},
        },
    }
    return {
        "summary": "Classify images of a tensor.",
        "description": (
            "BYTES [n]: image files, in JSON each in base64. UINT8 or FP32 [n, height, width, channels]: decoded "
            "images, from 0 to 255 or from 0 to 1. Binary tensors follow the JSON, as the protocol's extension says."
        ),
        "tags": [_V2],
        "parameters": [model],
        "requestBody": {"required": True, "content": {_JSON: {"schema": schema}}},
        "responses": {"200": {"description": "The outputs: probabilities, label, none_of_these."}, **_REFUSALS},
    }


def _get(summary: str, tag: str, *, kind: str = _JSON) -> dict[str, Any]:
    return {"summary": summary, "tags": [tag], "responses": {"200": {"description": "OK", "content": {kind: {}}}}}


def _parameter(name: str, place: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}


def _response(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


_REFUSALS = {
    status: _response(description, "Error")
    for status, description in {
        "400": "The request is damaged.",
        "401": "The token is missing or wrong.",
        "404": "There is no such model.",
        "408": "The request did not arrive in time.",
        "413": "The request is too large.",
        "415": "The type of the body is not known.",
        "503": "The server is busy; Retry-After says when to repeat the request.",
        "504": "The answer was not ready in time.",
    }.items()
}
