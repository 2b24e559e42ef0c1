"""Writes a SAM template as JSON, with `!Ref x` and its like in their long form.

template_json.py TEMPLATE
"""

import json
import sys

from samtranslator.yaml_helper import yaml_parse


def main(arguments):
    if len(arguments) != 1:
        return "usage: template_json.py TEMPLATE"
    try:
        with open(arguments[0], encoding="utf-8") as file:
            json.dump(yaml_parse(file.read()), sys.stdout)
    except Exception as error:  # whatever it was, the reader wants it in one line
        return f"{arguments[0]}: {type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
