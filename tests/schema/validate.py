"""Validates JSON lines against a JSON Schema and prints, for each line, what is wrong with it as a JSON list.

Usage: validate.py SCHEMA LINES
"""

import json
import sys

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
with open(sys.argv[2], encoding="utf-8", newline="\n") as lines:
    for line in lines:
        errors = sorted(validator.iter_errors(json.loads(line)), key=lambda error: error.json_path)
        print(json.dumps([f"{error.json_path}: {error.message}" for error in errors]))
