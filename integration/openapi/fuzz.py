"""Asks a running master whatever its own description allows (and some of what it does not), and looks for answers that must
not be.

    fuzz.py http://HOST:PORT SECONDS

schemathesis, unmodified from PyPI, makes the requests out of /openapi.json. The status is 1 if a request was not
answered within TIMEOUT, was answered with a status that the description does not have, with 5xx (but 501, "I do not know
this call", and 503, "not now"), or with a body that is not as it is described: of another media type, or JSON that its schema
does not have. A stream that a SUBSCRIBE opens has no end: its beginning is read, and it is closed. What is sent as protobuf
is any bytes.

A scheduler's call is that of a framework that is subscribed, three times of four: what is behind "Framework cannot be found"
is asked, too. The status is also 1 if the master took none of these.
"""

import json
import random
import sys
import time

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import content_type_conformance, response_schema_conformance

TIMEOUT = 10
# What a master says that cannot, or cannot now, do what it is asked for.
ALLOWED = (501, 503)
SCHEDULER = "/api/v1/scheduler"
schemathesis.openapi.media_type("application/x-protobuf", strategies.binary(max_size=200))
# Requests at a time for each operation, so that each has its turn; the one with the most calls has more.
ROUND = 4
ROUND_OF_CALLS = 24

base, seconds = sys.argv[1], float(sys.argv[2])
began = time.monotonic()
statuses: dict[int, int] = {}
# Bodies of JSON that were as they are described.
documents = 0
# By path and method.
described: dict[str, dict] = {}


class Framework:
    """Who calls at SCHEDULER. There is another one when a call has torn it down, or ended its stream."""

    def __init__(self) -> None:
        self.id = self.stream_id = ""
        self.events: requests.Response | None = None
        self.taken = 0
        self.dice = random.Random(1)

    def end(self) -> None:
        if self.events is not None:
            self.pieces.close()
            self.events.close()

    def subscribe(self) -> None:
        self.end()
        info = {"user": "nobody", "name": "asks whatever is allowed", "roles": ["asked"]}
        info["capabilities"] = [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        self.events = requests.post(f"{base}{SCHEDULER}", json=call, stream=True, timeout=TIMEOUT)
        self.events.raise_for_status()
        # The connection ends with the iterator.
        self.pieces = self.events.iter_content(chunk_size=None)
        # One record: its length in digits, a new line, and as many bytes.
        received, size, record = b"", b"0", b""
        while not record or len(record) < int(size):
            received += next(self.pieces)
            size, _, record = received.partition(b"\n")
        subscribed = json.loads(record[: int(size)])
        self.id = subscribed["subscribed"]["framework_id"]["value"]
        self.stream_id = self.events.headers["Mesos-Stream-Id"]

    def speak(self, case) -> bool:
        """Makes this call one of this framework, or leaves it as it is."""
        is_its = case.path == SCHEDULER and isinstance(case.body, dict) and not is_subscription(case)
        if not is_its or self.dice.randrange(4) == 0:
            return False
        if self.events is None:
            self.subscribe()
        case.body["framework_id"] = {"value": self.id}
        case.headers["Mesos-Stream-Id"] = self.stream_id
        return True

    def hear(self, status: int, text: str) -> None:
        self.taken += status == 202
        if any(end in text for end in ("Framework cannot be found", "Framework is not subscribed", "stream ID")):
            self.subscribe()


framework = Framework()


def ask(case) -> None:
    global documents
    speaks = framework.speak(case)
    request = case.as_transport_kwargs(base_url=base)
    with requests.request(**request, stream=True, timeout=TIMEOUT, allow_redirects=False) as response:
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        if response.status_code >= 500 and response.status_code not in ALLOWED:
            raise AssertionError(f"{response.status_code}: {response.text}\n{case.as_curl_command()}")
        if str(response.status_code) not in described[case.path][case.method.lower()]["responses"]:
            raise AssertionError(f"{response.status_code} is not described: {response.text}\n{case.as_curl_command()}")
        if response.headers.get("Transfer-Encoding") == "chunked" and may_subscribe(case):
            next(response.iter_content(chunk_size=1))
        elif response.content:
            case.validate_response(response, checks=[content_type_conformance, response_schema_conformance])
            documents += response.headers.get("Content-Type") == "application/json"
        if speaks:
            framework.hear(response.status_code, response.text)


def is_subscription(case) -> bool:
    return isinstance(case.body, dict) and case.body.get("type") == "SUBSCRIBE"


def may_subscribe(case) -> bool:
    return is_subscription(case) or case.media_type == "application/x-protobuf"


# Made once: those of large messages take their time.
made: dict = {}


def strategy(operation, mode):
    key = (operation.path, operation.method, mode)
    if key not in made:
        made[key] = operation.as_strategy(generation_mode=mode)
    return made[key]


def ask_round(operation, mode, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=ROUND_OF_CALLS if operation.path == SCHEDULER else ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(case=strategy(operation, mode))
    def test(case):
        if time.monotonic() - began < seconds:
            ask(case)

    test()


def main() -> int:
    described.update(requests.get(f"{base}/openapi.json", timeout=TIMEOUT).json()["paths"])
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json", timeout=TIMEOUT)
    operations = [result.ok() for result in schema.get_all_operations()]
    order = random.Random(1)
    number = 0
    while time.monotonic() - began < seconds:
        order.shuffle(operations)
        for operation in operations:
            number += 1
            wrong = operation.method == "post" and number % 4 == 0
            mode = GenerationMode.NEGATIVE if wrong else GenerationMode.POSITIVE
            try:
                ask_round(operation, mode, number)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
                print(f"{operation.method.upper()} {operation.path}: {type(error).__name__}: {error}")
                return 1
            if time.monotonic() - began >= seconds:
                break
    framework.end()
    asked = sum(statuses.values())
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    taken = f"{documents} documents, {framework.taken} calls of a scheduler were taken"
    print(f"{len(operations)} operations, {asked} requests: {counts}; {taken}")
    return 0 if asked > len(operations) and documents > 0 and framework.taken > 0 else 1


sys.exit(main())
