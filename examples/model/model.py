#!/usr/bin/env python3
"""The program of src/main.rs in Python with ONNX Runtime: the same answers; it must not know how it is run.

It is a WSGI application. Started as a CGI script it loads the network for this request; with a listening socket as its
standard input it is a FastCGI worker (by flup), and loads the network before the first request. `prepare` installs what
it needs and writes target/model/model.py, which starts this file with the right Python.
"""

import io
import json
import os
import pathlib
import socket
import sys
import threading
import time

import numpy
import onnxruntime
from PIL import Image, ImageOps, UnidentifiedImageError

FOLDER = pathlib.Path(os.environ.get("MODEL_FOLDER") or pathlib.Path(__file__).parents[2] / "target/model")

# The same limits, and the same reasons for them, as in src/upload.rs and src/picture.rs.
MAX_UPLOAD_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 25_000_000
MAX_STRETCH = 20

SIDE, SHORT_SIDE = 224, 256
MEAN = numpy.array([0.485, 0.456, 0.406], numpy.float32)
DEVIATION = numpy.array([0.229, 0.224, 0.225], numpy.float32)
TOLD = 5


class Refusal(Exception):
    """Why a request is refused: a status and a sentence."""


class Classifier:
    """The loaded network, and the names of its classes."""

    def __init__(self):
        start = time.perf_counter()
        options = onnxruntime.SessionOptions()
        # One thread for each process, as in src/classifier.rs.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            FOLDER / "mobilenet_v2.onnx", options, providers=["CPUExecutionProvider"]
        )
        self.labels = (FOLDER / "labels.txt").read_text().splitlines()
        self.load_ms = milliseconds(start)

    def classify(self, planes):
        [[probabilities]] = self.session.run(None, {"image": planes})
        return [self.told(int(number), probabilities) for number in probabilities.argsort()[::-1][:TOLD]]

    def told(self, number, probabilities):
        name, _, also = self.labels[number].partition(", ")
        told = {"class": number, "name": name, "also": also, "probability": round(float(probabilities[number]), 4)}
        return {key: value for key, value in told.items() if value != ""}


def milliseconds(start):
    return round((time.perf_counter() - start) * 1e3, 2)


def read_picture(environ):
    """The picture's bytes, from a body that is a picture."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind not in ("image/jpeg", "image/png"):
        raise Refusal("415 Unsupported Media Type", "send a picture as image/jpeg or image/png")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > MAX_UPLOAD_BYTES:
        raise Refusal("413 Content Too Large", f"the request has {length} bytes; 10 MiB are the most that is taken")
    body = environ["wsgi.input"].read(length)
    if not body:
        raise Refusal("400 Bad Request", "no picture came")
    return body


def decode(content):
    try:
        # Only the head is read here: a file of some kilobytes may claim any size.
        image = Image.open(io.BytesIO(content), formats=["JPEG", "PNG"])
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Refusal("413 Content Too Large", f"the picture has {width} x {height} pixels: too many")
        if max(width, height) > MAX_STRETCH * min(width, height):
            raise Refusal("400 Bad Request", f"the picture has {width} x {height} pixels: too thin")
        return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise Refusal("400 Bad Request", "this is neither a JPEG nor a PNG") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise Refusal("400 Bad Request", f"the picture cannot be read: {error}") from None


def normalised(image):
    """As torchvision does it: see src/picture.rs."""
    width, height = image.size
    if width <= height:
        size = (SHORT_SIDE, SHORT_SIDE * height // width)
    else:
        size = (SHORT_SIDE * width // height, SHORT_SIDE)
    left, top = (round((length - SIDE) / 2) for length in size)
    small = image.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + SIDE, top + SIDE))
    pixels = (numpy.asarray(small, numpy.float32) / 255 - MEAN) / DEVIATION
    return numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


class Pictures:
    """The application: a network that is loaded at most once, and a count of the pictures."""

    def __init__(self, is_cgi):
        self.is_cgi, self.loaded, self.requests, self.lock = is_cgi, None, 0, threading.Lock()

    def classifier(self):
        with self.lock:
            ready = self.loaded is not None
            self.loaded = self.loaded or Classifier()
            return self.loaded, ready

    def classify(self, environ):
        content = read_picture(environ)
        start = time.perf_counter()
        image = decode(content)
        planes = normalised(image)
        decode_ms = milliseconds(start)
        classifier, ready = self.classifier()
        start = time.perf_counter()
        classes = classifier.classify(planes)
        run_ms = milliseconds(start)
        with self.lock:
            self.requests += 1
        process = {"id": os.getpid(), "cgi": self.is_cgi, "request": self.requests, "ready": ready}
        process |= {"load_ms": classifier.load_ms, "decode_ms": decode_ms, "run_ms": run_ms}
        process["classify_ms"] = round(decode_ms + run_ms, 2)
        return {"classes": classes, "picture": dict(zip(("width", "height"), image.size)), "process": process}

    def __call__(self, environ, start_response):
        status, fields = "200 OK", []
        try:
            if environ["REQUEST_METHOD"] != "POST":
                fields.append(("Allow", "POST"))
                raise Refusal("405 Method Not Allowed", "POST a picture; the page is that of the program in Rust")
            answer = self.classify(environ)
        except Refusal as refusal:
            status, reason = refusal.args
            answer = {"error": reason}
        body = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *fields])
        return [body]


def is_worker():
    """Whether standard input is a listening socket, as it is for every FastCGI worker."""
    try:
        with socket.socket(fileno=os.dup(0)) as given:
            return bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def main():
    if is_worker():
        from flup.server.fcgi import WSGIServer

        pictures = Pictures(is_cgi=False)
        pictures.classifier()
        WSGIServer(pictures, debug=False).run()
    elif "GATEWAY_INTERFACE" in os.environ:
        from wsgiref.handlers import CGIHandler

        CGIHandler().run(Pictures(is_cgi=True))
    else:
        sys.exit("this program is started by a gateway: see examples/model/README.md")


if __name__ == "__main__":
    main()
