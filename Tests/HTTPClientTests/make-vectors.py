#!/usr/bin/env python3
"""Writes vectors.json: requests and the headers that botocore's S3 signer adds to them.

    python3 Tests/HTTPClientTests/make-vectors.py

botocore is the oracle: the Swift signer has to come to the same bytes.
"""

import datetime
import json
import pathlib
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLE//////////wEaDEXAMPLE+TOKEN=="


def case(name, method="GET", key="/bucket/key", query=(), headers=(), body="", hashed=True, region="us-east-1", token=None,
         host="s3.example.org", time="20260131T120000Z", access=ACCESS, secret=SECRET):
    return dict(name=name, method=method, key=key, query=[list(pair) for pair in query], headers=[list(pair) for pair in headers],
                body=body, hashed=hashed, region=region, token=token, host=host, time=time, access=access, secret=secret)


CASES = [
    case("get"),
    case("head", method="HEAD"),
    case("delete", method="DELETE"),
    case("put an empty body", method="PUT"),
    case("put a body", method="PUT", body="Welcome to Amazon S3."),
    case("put a body of unicode", method="PUT", body="é漢😀\n"),
    case("put an unsigned payload", method="PUT", body="not hashed", hashed=False),
    case("get with an unsigned payload", hashed=False),
    case("post", method="POST", body="<CompleteMultipartUpload/>", query=[("uploadId", "abc.123~_-")]),
    case("key with a space", key="/bucket/a key"),
    case("key with a plus", key="/bucket/a+b"),
    case("key with unicode", key="/bucket/é/漢字/😀"),
    case("key with doubled slashes", key="/bucket//a///b//"),
    case("key with dots", key="/bucket/a/./b/../c"),
    case("key with every mark", key="/bucket/!\"#$%&'()*,:;<=>?@[\\]^`{|}~-._"),
    case("key with a percent sequence", key="/bucket/100%25"),
    case("the bucket itself", key="/bucket/"),
    case("the service itself", key="/"),
    case("a long key", key="/bucket/" + "folder/" * 140 + "x"),
    case("query without a value", query=[("uploads", "")], method="POST"),
    case("query out of order", query=[("prefix", "a"), ("delimiter", "/"), ("list-type", "2"), ("max-keys", "1000")]),
    case("query with marks", query=[("prefix", "a b/c+d&e=f?g"), ("continuation-token", "1/+==%")]),
    case("query with unicode", query=[("prefix", "é/漢字/😀"), ("start-after", "ü")]),
    case("query with the same name twice", query=[("a", "2"), ("a", "1"), ("a", "10"), ("A", "3")]),
    case("query whose order is that of its encoding", query=[("a-", "1"), ("a", "2"), ("a b", "3"), ("aé", "4"), ("aA", "5")]),
    case("multipart", method="PUT", query=[("partNumber", "10"), ("uploadId", "VXBsb2FkIElE+/=")], body="part"),
    case("session token", token=TOKEN),
    case("session token and body", method="PUT", token=TOKEN, body="x", region="eu-central-1"),
    case("other region", region="eu-west-3"),
    case("region of our own", region="here"),
    case("host with a port", host="127.0.0.1:9000"),
    case("bucket in the host", host="bucket.s3.us-west-2.amazonaws.com", region="us-west-2", key="/a b"),
    case("headers", method="PUT", body="x", headers=[("Content-Type", "text/plain; charset=utf-8"), ("x-amz-meta-a", "1")]),
    case("headers with spaces", headers=[("x-amz-meta-b", "  a   b  c "), ("X-Amz-Meta-A", "UPPER")]),
    case("range", headers=[("Range", "bytes=0-9")]),
    case("copy", method="PUT", headers=[("x-amz-copy-source", "/bucket/a%20b")]),
    case("another day", time="19991231T235959Z"),
    case("another key", access="minio", secret="minio123"),
]


def encoded(key):
    return quote(key, safe="/-_.~")


def signed(given):
    url = f"https://{given['host']}{encoded(given['key'])}"
    body = given["body"].encode()
    request = AWSRequest(method=given["method"], url=url, data=body)
    # A list keeps names that come twice.
    request.params = [tuple(pair) for pair in given["query"]]
    for name, value in given["headers"]:
        request.headers[name] = value
    request.headers["host"] = given["host"]
    request.context["client_config"] = Config(s3={"payload_signing_enabled": given["hashed"]})
    moment = datetime.datetime.strptime(given["time"], "%Y%m%dT%H%M%SZ")
    signer = botocore.auth.S3SigV4Auth(
        Credentials(given["access"], given["secret"], given["token"]), "s3", given["region"])
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        signer.add_auth(request)
    return given | {
        "path": encoded(given["key"]),
        "canonicalQuery": signer.canonical_query_string(request),
        "payloadHash": request.headers["X-Amz-Content-SHA256"],
        "authorization": request.headers["Authorization"],
    }


def main():
    target = pathlib.Path(__file__).parent / "vectors.json"
    target.write_text(json.dumps([signed(given) for given in CASES], indent=1, ensure_ascii=True) + "\n")
    print(f"{len(CASES)} vectors in {target.name}")


if __name__ == "__main__":
    main()
