"""Policies of AWS: what a role may do with a tenant's bucket, and who may assume it."""

from __future__ import annotations

from typing import Any

VERSION = "2012-10-17"


def bucket_policy(bucket: str, prefix: str) -> dict[str, Any]:
    """The least that publishing needs: list, read, write and remove below the prefix, and nothing else."""
    below = f"{prefix}/" if prefix else ""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "ListBelowThePrefix",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": f"arn:aws:s3:::{bucket}",
                "Condition": {"StringLike": {"s3:prefix": f"{below}*"}},
            },
            {
                "Sid": "ReadAndWriteBelowThePrefix",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                "Resource": f"arn:aws:s3:::{bucket}/{below}*",
            },
        ],
    }


def trust_policy(principal: str, external_id: str) -> dict[str, Any]:
    """Only this principal may assume the role, and only with this external id."""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
            }
        ],
    }
