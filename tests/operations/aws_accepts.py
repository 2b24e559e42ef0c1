"""Names the AWS command lines that the AWS CLI would refuse. Reads a JSON list of words from each line of stdin.

Nothing is sent: a command line is accepted when its call has passed the validation of its parameters.
"""

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver
from botocore.endpoint import Endpoint

calls = []


class NotSent(Exception):
    """Instead of an answer."""


def instead_of_sending(_endpoint, operation, _request):
    calls.append(operation.name)
    raise NotSent


Endpoint.make_request = instead_of_sending
driver = create_clidriver()
refused = False
for line in sys.stdin:
    words = json.loads(line)
    calls.clear()
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            driver.main(words)
        except SystemExit:
            pass  # how a parser of arguments refuses
    if not calls:
        refused = True
        reason = said.getvalue().strip().splitlines()[-1:]
        print("aws", *words, ":", *reason)
sys.exit(refused)
