#!/usr/bin/env python3
"""The page at / in headless Chromium against the real daemon: whether it shows live data, and says why when it cannot.

usage: MYCELIUMD=target/release/myceliumd check_page.py [DIRECTORY FOR SCREENSHOTS]
"""

import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "operators")]
from browser import Browser, Relay  # noqa: E402
from running import Daemon, Tally, wait_for  # noqa: E402

SHOTS = sys.argv[1] if len(sys.argv) > 1 else None
PAGE = os.path.join(HERE, "..", "..", "crates", "mycelium-daemon", "src", "api", "page.html")
# One webhook without a receiver: the page has to show its breaker opening.
CONFIG = """
[sim]
grid = 64
seed = 9007199254740993
tick_ms = 10
[features]
every = 10
[outbox]
window_steps = 50
keep_free_bytes = 0
[breaker]
failures = 2
[[webhooks]]
name = "nobody"
url = "http://127.0.0.1:9/hook"
spread_ms = 0
retry_base_ms = 50
[[inputs]]
name = "agar"
unit = "mV"
"""
SEED = "9007199254740993"
CONFIG_SMALL_RATE = CONFIG + "\n[api.rate]\nper_second = 1\nburst = 4\n"
# As in api/static_text.rs.
MAX_BYTES = 36_000
AS_JSON = {"Content-Type": "application/json"}
tally = Tally()


def shot(browser, name, full=False):
    if SHOTS:
        browser.screenshot(os.path.join(SHOTS, name + ".png"), full)


def state(browser):
    return browser.run("return document.getElementById('state').dataset.kind || ''")


def becomes(browser, kind, patience=30):
    wait_for(f"the page says {kind} (it says: {browser.text('#state')})", lambda: state(browser) == kind, patience)


def enter(browser, key):
    wait_for("the key is asked for", lambda: browser.shown("#door"))
    browser.type("#key", key)
    browser.keys("\ue007")


def pixels(browser):
    """A sum over the canvas that changes with the picture."""
    return browser.run(
        "const c = document.getElementById('map'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let s = 0; for (let i = 0; i < d.length; i++) s = (s * 31 + d[i]) >>> 0; return s"
    )


def fact(browser, term):
    return browser.run(
        "const t = [...document.querySelectorAll('dt')].find(e => e.textContent === arguments[0]);"
        "return t ? t.nextElementSibling.firstChild.textContent : null", term
    )


def number(text):
    return int(re.sub(r"[^0-9]", "", text or "0") or 0)


# --- what the server sends -------------------------------------------------------------------------------


def headers_are_strict(daemon):
    status, headers, body = daemon.ask("/", key=None)
    assert status == 200 and headers["Content-Type"].startswith("text/html"), headers.items()
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy, policy
    assert len(body) <= MAX_BYTES, f"{len(body)} bytes"
    _, packed, _ = daemon.ask("/", key=None, headers={"Accept-Encoding": "gzip"})
    assert packed.get("Content-Encoding") == "gzip", packed.items()


def names_no_other_host():
    text = open(PAGE).read()
    assert len(text.encode()) <= MAX_BYTES
    outside = [u for u in re.findall(r"https?://[^\s\"'<>)]+", text) if not u.startswith(("http://www.w3.org/2000/svg", "http://HOST:8600"))]
    assert not outside, outside
    assert "innerHTML" not in text and "eval(" not in text and " style=" not in text and not re.search(r"<[^>]+ on\w+=", text)


# --- the life of the page --------------------------------------------------------------------------------


def asks_for_a_key(browser, daemon):
    assert wait_for("the key is asked for", lambda: browser.shown("#door"))
    assert not browser.shown("#map")
    assert browser.run("return document.activeElement.id") == "key", "the key field has the focus"
    shot(browser, "door")


def refuses_a_wrong_key(browser, daemon):
    enter(browser, "myc_wrong")
    wait_for("the rejection is shown", lambda: browser.text("#keyfault") != "")
    assert state(browser) == "key" and browser.shown("#door")
    assert browser.run("return sessionStorage.length") == 0, "a rejected key is not stored"


def opens_with_the_key(browser, daemon):
    enter(browser, daemon.key)
    becomes(browser, "live")
    assert not browser.shown("#door") and browser.shown("#map")
    assert browser.run("return Object.values(sessionStorage).join()") == daemon.key
    assert daemon.key not in browser.run("return JSON.stringify(localStorage) + document.cookie")


def the_field_moves(browser, daemon):
    wait_for("the canvas has the grid's size", lambda: browser.run("return document.getElementById('map').width") == 64)
    first = pixels(browser)
    wait_for("the picture changes", lambda: pixels(browser) != first)
    low, high = browser.text("#low"), browser.text("#high")
    assert re.fullmatch(r"-?\d+\.\d mV", low) and re.fullmatch(r"-?\d+\.\d mV", high), (low, high)


def the_picture_is_the_field(browser, daemon):
    """Redraws with the fixed range and compares every cell's colour with its order in the frame."""
    browser.click("#pause")
    ok = browser.run(
        "draw(); const d = document.getElementById('map').getContext('2d').getImageData(0, 0, frame.columns, frame.rows).data;"
        "let low = Infinity, high = -Infinity; for (const v of frame.volts) { low = Math.min(low, v); high = Math.max(high, v); }"
        "let wrong = 0; frame.volts.forEach((v, i) => {"
        "  const k = Math.max(0, Math.min(255, Math.floor((v - low) * (high > low ? 255.999 / (high - low) : 0))));"
        "  const c = COLOURS[k]; if (d[4*i] !== (c & 255) || d[4*i+1] !== (c >> 8 & 255) || d[4*i+2] !== (c >> 16 & 255)) wrong++; });"
        "return [wrong, frame.rows, low, high]"
    )
    wrong, rows, low, high = ok
    assert wrong == 0 and rows == 64, ok
    assert -0.2 < low <= high < 0.2, f"volts: {low}..{high}"
    before = pixels(browser)
    time.sleep(1.2)  # two polling periods of the page: while paused nothing may change
    assert pixels(browser) == before, "a paused picture does not change"
    browser.click("#pause")


def steps_and_features_advance(browser, daemon):
    first = number(fact(browser, "Step"))
    wait_for("the step grows", lambda: number(fact(browser, "Step")) > first)
    path = "return document.querySelector('#sparks path').getAttribute('d').split('L').length"
    length = wait_for("a line is drawn", lambda: browser.run(path) > 2 and browser.run(path))
    wait_for("the line grows", lambda: browser.run(path) > length)
    names = browser.run("return series.at(-1) && Object.keys(series.at(-1))")
    assert len(names) == 28 and names[0] == "D_box" and names[-1] == "spiral_tips", names


def facts_are_those_of_the_daemon(browser, daemon):
    status = daemon.json("/v1/status")
    assert fact(browser, "Seed") == SEED, "no digit of a seed beyond 2^53 is lost"
    assert fact(browser, "Model") == status["model"]["name"]
    assert "of 10.0 MiB" in fact(browser, "Memory"), fact(browser, "Memory")
    assert fact(browser, "Boot") == status["boot"]
    assert fact(browser, "Clock") in ("synchronised", "not synchronised")
    assert "of 64.0 MiB" in fact(browser, "Space")
    wait_for("records wait", lambda: number(fact(browser, "Waiting")) > 0)
    wait_for("the oldest has an age", lambda: "old" in fact(browser, "Oldest"))


def the_breaker_is_seen_opening(browser, daemon):
    wait_for("the endpoint's breaker opens", lambda: "open" in browser.text("#ends") and "nobody" in browser.text("#ends"))


def signals_are_drawn_with_gaps_and_spikes(browser, daemon):
    assert "none yet" in browser.text("#strips"), "no sample yet"
    # 20 samples, one a second, a pause of 20 s, 20 more.
    at = [1_700_000_000 + k + (20 if k >= 20 else 0) for k in range(40)]
    items = [{"input": "agar", "time": t * 1000, "value": k % 10} for k, t in enumerate(at)]
    status, _, body = daemon.ask("/v1/samples", daemon.admin, "POST", json.dumps({"items": items}), AS_JSON)
    assert status == 202, body
    wait_for("the samples are drawn", lambda: "in 59 s" in browser.text("#strips"))
    text = browser.text("#strips")
    assert "agar" in text and "9 mV" in text and "0 to 9 mV" in text and "1 gap" in text and "spike" not in text, text
    line = browser.run("return document.querySelectorAll('#strips path')[1].getAttribute('d')")
    assert (line.count("M"), line.count("L")) == (2, 38), line
    # The daemon's own spikes need hours of samples: one is put into its response.
    spike = '{"time":"2023-11-14T22:13:30.000Z","amplitude":5,"width_s":2,"polarity":"positive","baseline":4}'
    browser.run(
        "window.realFetch = window.fetch; window.fetch = (p, o) => String(p).startsWith('/v1/signals/')"
        " ? realFetch(p, o).then(async r => new Response((await r.text()).replace('\"recent_spikes\":[]',"
        " '\"recent_spikes\":[" + spike.replace('"', '\\"') + "]'))) : realFetch(p, o)"
    )
    more = {"items": [{"input": "agar", "time": (at[-1] + 1) * 1000, "value": -1}]}
    assert daemon.ask("/v1/samples", daemon.admin, "POST", json.dumps(more), AS_JSON)[0] == 202
    wait_for("the newest value and the spike are shown", lambda: "-1 mV" in browser.text("#strips") and "1 spike" in browser.text("#strips"))
    mark = browser.run("return document.querySelector('#strips .spike').getAttribute('d')")
    assert mark == "M19.83 -2V6", mark
    browser.run("window.fetch = window.realFetch")


def features_can_be_chosen(browser, daemon):
    browser.run("document.querySelector('details').open = true")
    browser.run("[...document.querySelectorAll('#choice label')].find(l => l.textContent === 'V_skew').firstChild.click()")
    wait_for("the chosen feature is shown", lambda: "V_skew" in browser.text("#sparks"))
    browser.run("document.querySelector('details').open = false")


def the_keyboard_reads_cells(browser, daemon):
    browser.run("document.getElementById('map').focus()")
    browser.keys("\ue015\ue014")  # down, right
    assert re.match(r"row 33, column 33: -?\d+\.\d mV", wait_for("a cell is read", lambda: browser.text("#probe"))), browser.text("#probe")
    browser.keys("\ue00c")
    assert browser.text("#probe") == ""


def nothing_is_unlabelled(browser, daemon):
    nameless = browser.run(
        "return [...document.querySelectorAll('button,select,input,canvas,a')].filter(e => e.ariaHidden !== 'true' && !e.ariaLabel"
        " && !e.labels?.length && !e.textContent.trim()).map(e => e.outerHTML)"
    )
    assert not nameless, nameless
    assert browser.run("return document.getElementById('state').ariaLive") == "polite"
    assert "64 by 64 cells" in browser.run("return document.getElementById('map').ariaLabel")


def says_offline_and_comes_back(browser, daemon, relay):
    relay.cut()
    becomes(browser, "offline")
    assert browser.run("return document.getElementById('view').classList.contains('stale')")
    assert browser.shown("#map"), "the last picture stays"
    wait_for("the page says when it retries", lambda: browser.shown("#again") and "retrying in" in browser.text("#wait"))
    shot(browser, "offline")
    relay.accepted = 0
    time.sleep(3)
    assert relay.accepted <= 12, f"{relay.accepted} attempts in 3 s"
    relay.mend()
    browser.run("document.getElementById('again').click()")
    becomes(browser, "live")
    first = pixels(browser)
    wait_for("the picture moves again", lambda: pixels(browser) != first)
    assert not browser.shown("#again")


def survives_a_restart(browser, daemon):
    old = fact(browser, "Boot")
    daemon.stop()
    becomes(browser, "offline")
    daemon.start()
    becomes(browser, "live", 45)
    wait_for("the new start is shown", lambda: fact(browser, "Boot") not in (old, None))
    wait_for("features of the new start come", lambda: browser.run("return series.length") > 3)


def tolerates_missing_fields(browser, daemon):
    browser.run(
        "window.realFetch = window.fetch; window.fetch = (p, o) => String(p).startsWith('/v1/status')"
        " ? Promise.resolve(new Response('{\"device\":\"bare\"}')) : realFetch(p, o)"
    )
    wait_for("the bare status is shown", lambda: browser.text("#device") == "bare")
    assert state(browser) == "live"
    browser.run("window.fetch = window.realFetch")
    wait_for("the full status is back", lambda: browser.text("#device") == daemon.device)


def no_complaint_of_the_policy(browser, entries):
    bad = [e["message"] for e in entries if "Content Security Policy" in e["message"] or "Uncaught" in e["message"]]
    assert not bad, bad


def asks_nobody_else(browser, daemon):
    names = browser.run("return performance.getEntriesByType('resource').map(e => e.name).concat(location.href)")
    origin = browser.run("return location.origin")
    assert all(n.startswith((origin, "data:")) for n in names), [n for n in names if not n.startswith(origin)]


def the_key_is_forgotten(browser, daemon):
    browser.click("#signout")
    wait_for("the key is asked for again", lambda: browser.shown("#door"))
    assert browser.run("return sessionStorage.length") == 0


def waits_when_told_to():
    """429: the page says so, waits as long as Retry-After says, and then asks less often: it stays live, with one request
    a second where it would send four."""
    with Daemon(CONFIG_SMALL_RATE) as daemon, Browser() as browser:
        browser.open(daemon.url)
        enter(browser, daemon.key)
        becomes(browser, "wait")
        assert "too many requests" in browser.text("#state")
        since = None

        def stays_live():
            nonlocal since
            since = (since or time.monotonic()) if state(browser) == "live" else None
            return since and time.monotonic() - since > 5

        wait_for("the page stays live for 5 s", stays_live, 90)
        assert browser.run("return slowness") > 1


def says_something_without_javascript(daemon):
    with Browser(javascript=False) as browser:
        browser.open(daemon.url)
        text = browser.call("GET", f"/element/{browser.find('noscript')}/text")
        assert "myceliumd" in text and "/v1/status" in text and "/healthz" in text, text
        shot(browser, "noscript")


def fits_a_phone_in_the_dark(daemon):
    with Browser(320, 740, phone=True) as browser:
        browser.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark"}, {"name": "prefers-reduced-motion", "value": "reduce"}])
        browser.open(daemon.url)
        enter(browser, daemon.key)
        becomes(browser, "live")
        wait_for("lines are drawn", lambda: browser.run("return series.length > 20"))
        width, scroll = browser.run("return [innerWidth, document.documentElement.scrollWidth]")
        assert scroll <= width == 320, f"{scroll} px of content in {width} px"
        small = browser.run("return [...document.querySelectorAll('button,select')].filter(e => e.checkVisibility() && e.offsetHeight < 40).map(e => e.id)")
        assert not small, f"too small for a thumb: {small}"
        assert browser.run("return calm && PERIOD.field >= 2000")
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 22)"
        shot(browser, "phone", full=True)


def main():
    tally.check("the file names no other host and has no inline handler", names_no_other_host)
    with Daemon(CONFIG, device="greenhouse-3") as daemon:
        relay = Relay(daemon.address)
        tally.check("headers are strict, the page is small and packed", lambda: headers_are_strict(daemon))
        with Browser() as browser:
            browser.open(relay.url)
            for part in (asks_for_a_key, refuses_a_wrong_key, opens_with_the_key, the_field_moves, the_picture_is_the_field,
                         steps_and_features_advance, facts_are_those_of_the_daemon, the_breaker_is_seen_opening,
                         signals_are_drawn_with_gaps_and_spikes, features_can_be_chosen, the_keyboard_reads_cells, nothing_is_unlabelled, asks_nobody_else):
                tally.check(part.__name__.replace("_", " "), lambda: part(browser, daemon))
            wait_for("lines for the picture", lambda: browser.run("return series.length > 60"))
            shot(browser, "page", full=True)
            entries = browser.console()
            tally.check("says offline and comes back", lambda: says_offline_and_comes_back(browser, daemon, relay))
            tally.check("survives a restart of the daemon", lambda: survives_a_restart(browser, daemon))
            tally.check("tolerates missing fields", lambda: tolerates_missing_fields(browser, daemon))
            entries += browser.console()
            tally.check("no complaint of the content policy, no uncaught error", lambda: no_complaint_of_the_policy(browser, entries))
            tally.check("the key is forgotten on demand", lambda: the_key_is_forgotten(browser, daemon))
        tally.check("says something without javascript", lambda: says_something_without_javascript(daemon))
        tally.check("fits a phone in the dark", lambda: fits_a_phone_in_the_dark(daemon))
        relay.close()
    tally.check("waits when told to", waits_when_told_to)
    tally.exit()


main()
