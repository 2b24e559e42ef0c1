"""Translates the SAM template to the plain CloudFormation that AWS would make of it, without an account.

translate.py TEMPLATE OUTPUT [Parameter=value ...]
"""

import json
import os
import sys

USAGE = "usage: translate.py TEMPLATE OUTPUT [Parameter=value ...]"


def main(arguments):
    if len(arguments) < 2 or not all("=" in argument for argument in arguments[2:]):
        return USAGE
    source, target, *overrides = arguments
    try:
        translated = translate(source, dict(argument.split("=", 1) for argument in overrides))
        with open(target, "w", encoding="utf-8") as file:
            json.dump(translated, file, indent=1)
    except Exception as error:  # whatever it was, the reader wants it in one line
        reasons = [error, *getattr(error, "causes", [])]
        text = " ".join(str(getattr(reason, "message", reason)) for reason in reasons)
        return f"translate.py: {source}: {type(error).__name__}: {' '.join(text.split())}"


def translate(source, overrides):
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    from samtranslator.translator.transform import transform
    from samtranslator.yaml_helper import yaml_parse

    with open(source, encoding="utf-8") as file:
        template = yaml_parse(file.read())

    parameters = {name: spec.get("Default") for name, spec in template["Parameters"].items()}
    if unknown := overrides.keys() - parameters.keys():
        raise ValueError(f"the template has no parameter {', '.join(sorted(unknown))}")

    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam package` would upload the code and put its address here.
            resource["Properties"]["CodeUri"] = "s3://bucket/key.zip"
        if resource["Type"] == "AWS::Serverless::Application":
            resource["Properties"]["Location"] = "https://s3.us-east-1.amazonaws.com/bucket/key.yaml"

    return transform(template, parameters | overrides, NoManagedPolicies())


class NoManagedPolicies:
    """Stands in for a call to IAM: the template names no managed policy."""

    def load(self):
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
