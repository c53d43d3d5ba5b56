"""Writes the user-data of each host, as EC2 has it, to FOLDER/HOST.

    user_data.py STATE.json FOLDER     STATE.json is of `terraform show -json`
"""

import base64
import json
import pathlib
import sys

import boto3


def main() -> None:
    resources = json.load(open(sys.argv[1]))["values"]["root_module"]["resources"]
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir()
    ec2 = boto3.client("ec2", region_name="eu-west-1")
    hosts = [found for found in resources if found["address"].startswith("aws_instance.host[")]
    assert hosts, "there is no host"
    for host in hosts:
        # Providers before 6 keep only a hash of it in the state, so EC2 is asked.
        attribute = ec2.describe_instance_attribute(InstanceId=host["values"]["id"], Attribute="userData")
        (folder / host["index"]).write_bytes(base64.b64decode(attribute["UserData"]["Value"]))


main()
