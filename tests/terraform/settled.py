"""Fails if a second plan would change anything, but for what moto forgets of what it was told.

    settled.py PLAN.json     PLAN.json is of `terraform show -json PLAN`
"""

import json
import sys

# moto keeps neither descriptions of security group rules nor an instance's network settings. An instance that is to be
# replaced takes with it what names it: its alarm and the dashboard.
FORGOTTEN = (
    "aws_instance.",
    "aws_vpc_security_group_",
    "aws_cloudwatch_dashboard.this",
    "aws_cloudwatch_metric_alarm.dead_host[",
)


def main() -> int:
    plan = json.load(open(sys.argv[1]))
    changes = [change for change in plan["resource_changes"] if change["change"]["actions"] not in (["no-op"], ["read"])]
    unsettled = [change for change in changes if not change["address"].startswith(FORGOTTEN)]
    for change in unsettled:
        before, after = change["change"]["before"] or {}, change["change"]["after"] or {}
        differing = sorted(name for name in after if before.get(name) != after[name])
        print(f"a second plan would {' and '.join(change['change']['actions'])} {change['address']}: {differing}")
    settled = len(plan["resource_changes"]) - len(changes)
    print(f"a second plan leaves {settled} resources as they are; {len(changes) - len(unsettled)} that moto forgets parts of")
    return 1 if unsettled else 0


sys.exit(main())
