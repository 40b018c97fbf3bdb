#!/usr/bin/env python3
"""Prints step and box dimension of the newest and every later record: MYCELIUM_KEY=... poll.py http://HOST:8600"""
import json, os, sys, time, urllib.request
url, query, key = sys.argv[1] + "/v1/features", "", {"X-API-Key": os.environ["MYCELIUM_KEY"]}
while True:
    try:
        answer = json.load(urllib.request.urlopen(urllib.request.Request(url + query, headers=key), timeout=60))
    except OSError: time.sleep(5); continue
    for item in answer["items"]: print(item["step"], item["features"]["D_box"], flush=True)
    query = f"?wait=25&since={answer['next']}"
