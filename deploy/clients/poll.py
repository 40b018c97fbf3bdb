#!/usr/bin/env python3
"""Prints step and box dimension of the newest and every later record: MYCELIUM_KEY=... poll.py http://HOST:8600"""
import json, os, sys, time, urllib.request

url, query = sys.argv[1] + "/v1/features", ""
while True:
    try:
        request = urllib.request.Request(url + query, headers={"X-API-Key": os.environ["MYCELIUM_KEY"]})
        answer = json.load(urllib.request.urlopen(request, timeout=60))
        query = f"?wait=25&since={answer['next']}"
        for item in answer["items"]:
            print(item["step"], item["features"]["D_box"], flush=True)
    except OSError:
        time.sleep(5)
